"""What Serve is asked for: the bundles of a replica, its own first, and how many replicas."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from cluster.config import ModelConfig
from deployments.options import (
    VARIABLES,
    gateway_options,
    pool_group,
    pool_options,
    router_options,
)

Pool = dict[str, Any]


def model_with(pool: Pool) -> ModelConfig:
    named = {"name": "p", **pool}
    return ModelConfig.model_validate({"name": "m", "source": "s", "pools": [named]})


@pytest.mark.parametrize(
    ("pool", "bundles", "strategy"),
    [
        ({}, [{"CPU": 1.0, "GPU": 1.0}], "STRICT_PACK"),
        ({"device": "cpu", "dtype": "float32"}, [{"CPU": 1.0}], "STRICT_PACK"),
        ({"gpus_per_rank": 0.5}, [{"CPU": 1.0, "GPU": 0.5}], "STRICT_PACK"),
        (
            {"num_ranks": 2, "parallelism_config": {"ulysses_size": "auto"}},
            [{"CPU": 0.1}, {"CPU": 1.0, "GPU": 1.0}, {"CPU": 1.0, "GPU": 1.0}],
            "STRICT_PACK",
        ),
        (
            {"num_ranks": 2, "ranks_per_node": 1, "parallelism_config": {"ring_size": 2}},
            [{"CPU": 0.1}, {"CPU": 1.0, "GPU": 1.0}, {"CPU": 1.0, "GPU": 1.0}],
            "PACK",
        ),
    ],
)
def test_the_replica_runs_in_the_first_bundle_of_its_group(
    pool: Pool, bundles: list[dict[str, float]], strategy: str
) -> None:
    model = model_with(pool)
    options = pool_options(model, model.pools[0])
    assert options["placement_group_bundles"] == bundles
    assert options["placement_group_strategy"] == strategy
    assert options["ray_actor_options"] == {
        "num_cpus": bundles[0]["CPU"],
        "num_gpus": bundles[0].get("GPU", 0),
    }
    assert len(pool_group(model.pools[0]).rank_bundles) == model.pools[0].num_ranks


def test_there_are_as_many_gateways_as_the_config_says_and_one_router_of_each_model() -> None:
    assert gateway_options(3)["num_replicas"] == 3
    model = model_with({})
    assert router_options(model)["num_replicas"] == 1
    assert router_options(model)["name"] != gateway_options(3)["name"]


def test_a_pool_with_a_fixed_number_of_replicas_is_not_scaled() -> None:
    model = model_with({"autoscaling": {"min_replicas": 2, "max_replicas": 2}})
    options = pool_options(model, model.pools[0])
    assert options["num_replicas"] == 2
    assert "autoscaling_config" not in options


@pytest.mark.filterwarnings("ignore")  # Ray's own, while it is imported
def test_a_pool_that_scales_does_what_our_policy_says_and_at_once() -> None:
    from ray.serve.config import AutoscalingConfig

    model = model_with({"autoscaling": {"min_replicas": 0, "max_replicas": 4, "catch_up_s": 9.0}})
    options = pool_options(model, model.pools[0])
    assert "num_replicas" not in options
    config = AutoscalingConfig.model_validate(options["autoscaling_config"])
    assert (config.min_replicas, config.max_replicas) == (0, 4)
    assert (config.upscale_delay_s, config.downscale_delay_s) == (0.0, 0.0)
    policy = config.policy.get_policy()(**config.policy.policy_kwargs)
    assert type(policy).__name__ == "ForecastPolicy"
    assert config.policy.policy_kwargs["catch_up_s"] == 9.0


def test_what_serves_controller_loads_for_the_policy_is_light() -> None:
    code = "import sys, deployments.scaling; print(sorted({'torch', 'diffusers'} & {*sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


SERVE_SAYS = """
from ray.serve._private import constants as serve
print(serve.RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS)
print(serve.DEFAULT_HEALTH_CHECK_PERIOD_S, serve.REPLICA_HEALTH_CHECK_UNHEALTHY_THRESHOLD)
"""


def test_a_replica_that_does_not_answer_is_given_up_within_a_minute_and_then_killed() -> None:
    """With Serve's own timeout of 30 seconds it would be a minute and a half."""
    shown = subprocess.run(
        [sys.executable, "-c", SERVE_SAYS],
        env=os.environ | VARIABLES,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    kills, numbers = shown.stdout.splitlines()
    usual_period_s, looks = map(float, numbers.split())
    assert kills == "True"
    model = model_with({})
    for options in (gateway_options(1), router_options(model), pool_options(model, model.pools[0])):
        period_s = options.get("health_check_period_s", usual_period_s)
        assert period_s + looks * options["health_check_timeout_s"] < 60


def test_who_calls_is_given_up_before_who_is_called() -> None:
    """A process that has an answer for a caller that hangs answers Serve no more than that one."""
    model = model_with({})
    chain = [gateway_options(1), router_options(model), pool_options(model, model.pools[0])]
    given_up_s = [
        each["health_check_period_s"] + 3 * each["health_check_timeout_s"] for each in chain
    ]
    looks_s = [3 * each["health_check_timeout_s"] for each in chain]
    assert given_up_s[0] < looks_s[1]
    assert given_up_s[1] < looks_s[2]
