"""Replicas of several ranks, with real Ray, fake GPUs and gloo: what they draw and survive.

Two pools stand under one endpoint: two replicas of two ranks, and one of four.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve.faults import (
    PROMPT,
    draw,
    parallel_config,
    steady_load,
    until,
    variables,
)
from tests.serve.recovery import Disturbance
from tests.serve.server import Server, serving

ROUNDS = 4

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

STALLED_S = 5.0


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    config = parallel_config(folder / "config.yaml", _pair_and_quad)
    with serving(config, folder, **variables(gpus=8)) as server:
        yield server


def _pair_and_quad(pair: dict[str, Any]) -> list[dict[str, Any]]:
    pair |= {
        "autoscaling": {"min_replicas": 2, "max_replicas": 2},
        "watchdog": {"min_s": STALLED_S, "multiple": 2, "unknown_s": 30},
        "tiers": ["none", "fast", "ultra"],
    }
    quad = pair | {
        "name": "quad",
        "num_ranks": 4,
        "parallelism_config": {"ulysses_size": 2, "ring_size": "auto"},
        "autoscaling": {"min_replicas": 1, "max_replicas": 1},
        "tiers": ["slow", "medium"],
    }
    return [pair, quad]


def test_each_pool_serves_its_tiers_in_its_shape(ranks: Server) -> None:
    pair = draw(ranks, tier="none")["receipt"]
    quad = draw(ranks, tier="slow")["receipt"]
    assert (pair["pool"], pair["parallelism"]) == ("pair", "ulysses2")
    assert (quad["pool"], quad["parallelism"]) == ("quad", "ulysses2+ring2")
    assert (pair["steps_computed"], quad["steps_computed"]) == (28, 18)


def test_a_group_draws_the_same_bytes_each_time(ranks: Server) -> None:
    first, again = draw(ranks, tier="ultra"), draw(ranks, tier="ultra")
    assert first["data"] == again["data"]


def test_a_caller_that_goes_away_stops_all_ranks_and_leaves_nothing_behind(ranks: Server) -> None:
    before = draw(ranks, tier="slow")["data"]
    with ranks.client(timeout_s=1.0) as client, pytest.raises(httpx.ReadTimeout):
        client.post(
            "/v1/images/generations",
            json={"prompt": PROMPT, "tier": "slow", "num_inference_steps": 100, "n": 8},
        )
    pids = ranks.rank_pids()
    assert draw(ranks, tier="slow")["data"] == before
    assert ranks.rank_pids() == pids


@pytest.fixture(scope="module")
def undisturbed(ranks: Server) -> list[Any]:
    return [answer["data"] for answer in steady_load(ranks, lambda: None).answers]


def are_gone(server: Server, pids: Sequence[int]) -> bool:
    return not set(pids) & set(server.rank_pids())


@pytest.mark.parametrize(
    "fault",
    [signal.SIGKILL, signal.SIGUSR2, signal.SIGSTOP],
    ids=["killed", "raises", "stopped"],
)
def test_a_rank_that_fails_costs_no_caller_its_picture(
    ranks: Server, undisturbed: list[Any], fault: signal.Signals
) -> None:
    """A rank may be killed between two requests, which tells little: then it is done again."""
    for _ in range(ROUNDS):
        disturbance = Disturbance(ranks, "pair", fault)
        load = steady_load(ranks, disturbance.begin)
        until(partial(are_gone, ranks, disturbance.group), 60)
        print(f"{fault.name}: {disturbance.recovery()}")
        assert load.failures == []
        assert [answer["data"] for answer in load.answers] == undisturbed
        if any(answer["receipt"]["attempts"] > 1 for answer in load.answers):
            return
    pytest.fail("the rank was at work in no round")
