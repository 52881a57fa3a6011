"""Limits of keys as they are written, and the GPU-seconds that they count."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from cluster.access import caller_with
from cluster.config import ClusterConfig
from cluster.gpu_seconds import gpu_seconds
from cluster.key_limits import KeyLimits, in_words
from cluster.keys import ApiKey
from cluster.sections import fault_lines
from cluster.tiers import Tier
from tests.unit.cluster.jobs import job
from tests.unit.cluster.pools import FAST, MEDIUM, NONE, ULTRA, TableCosts, model_of, pool
from tests.unit.cluster.test_keys import entry

MODELS = [{"name": "m", "source": "s", "pools": [{"name": "p"}]}]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            {"key_limits": {"tiers": {"fastt": {"in_flight": 1}}}},
            "key_limits.tiers.fastt: Input should be 'auto', 'none', 'slow'",
        ),
        (
            {"key_limits": {"tiers": {"fast": {"in_flite": 1}}}},
            "key_limits.tiers.fast: unknown key in_flite; did you mean in_flight?",
        ),
        ({"key_limits": {"in_flight": 0}}, "key_limits.in_flight: Input should be greater than"),
        ({"key_limits": 3}, "key_limits: must be a mapping"),
        (
            {"key_limits": {"in_flight": 2}, "auth": "none"},
            "key_limits: there are no keys to limit, as auth says none",
        ),
    ],
)
def test_wrong_limits_are_refused_in_one_line(args: dict[str, Any], line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ClusterConfig.model_validate({"models": MODELS, **args})
    (told,) = fault_lines(caught.value)
    assert told.startswith(line)


def test_a_keys_own_limits_stand_in_place_of_the_usual_as_a_whole() -> None:
    usual = KeyLimits(in_flight=2, requests_per_minute=60)
    assert caller_with(ApiKey.model_validate(entry()), usual).limits == usual
    own = ApiKey.model_validate(entry(limits={"in_flight": 9}))
    assert caller_with(own, usual).limits == KeyLimits(in_flight=9)
    free = ApiKey.model_validate(entry(limits={}))
    assert caller_with(free, usual).limits == KeyLimits()
    assert caller_with(ApiKey.model_validate(entry()), None).limits is None


def test_the_documented_limits_are_limits() -> None:
    written = re.search(r"```yaml\n(key_limits:.*?)```", Path("docs/api.md").read_text(), re.DOTALL)
    assert written is not None
    config = ClusterConfig.model_validate({"models": MODELS, **yaml.safe_load(written[1])})
    assert config.key_limits is not None
    assert in_words(config.key_limits) == (
        "in_flight 4, requests_per_minute 60, gpu_seconds_per_minute 120, "
        "tiers.none.in_flight 1, tiers.none.gpu_seconds_per_minute 30"
    )


def test_limits_are_shown_in_the_words_of_the_config() -> None:
    limits = KeyLimits.model_validate({"in_flight": 2, "tiers": {"none": {"in_flight": 1}}})
    assert in_words(limits) == "in_flight 2, tiers.none.in_flight 1"
    assert in_words(KeyLimits()) == "none"


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({"tier_requested": "none"}, 8.0),
        ({"tier_requested": "fast"}, 3.0),
        # The router may choose: the model's default tier, as far as the request allows it.
        ({}, 4.0),
        ({"deadline_s": 5.0}, 4.0),
        ({"min_tier": NONE}, 8.0),
        ({"tier_requested": "fast", "min_tier": ULTRA}, 3.0),
        ({"num_inference_steps": 16}, 8.0),
    ],
)
def test_gpu_seconds_are_those_of_the_tier_that_is_asked_for(
    asked: dict[str, Any], seconds: float
) -> None:
    model = model_of(pool("p"), default_tier="medium")
    assert gpu_seconds(job(**asked), model, TableCosts()) == seconds


def test_gpu_seconds_are_times_the_ranks_on_the_pool_where_that_is_least() -> None:
    model = model_of(pool("one"), pool("four", ranks=4), pool("ultra", (ULTRA,)))
    costs = TableCosts({"four": 3.0, "ultra": 100.0})
    assert gpu_seconds(job(tier_requested="none"), model, costs) == 8.0
    faster = TableCosts({"four": 5.0})
    assert gpu_seconds(job(tier_requested="none"), model, faster) == pytest.approx(4 * 8 / 5)


def test_what_was_never_measured_counts_as_nothing() -> None:
    model = model_of(pool("p", (Tier.NONE, MEDIUM, FAST)))
    assert gpu_seconds(job(), model, TableCosts(measured=False)) == 0.0
