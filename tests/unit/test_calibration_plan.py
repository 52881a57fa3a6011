"""What a calibration makes, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from cluster.config import ClusterConfig
from cluster.errors import ConfigError, InvalidRequest
from cluster.tiers import Tier
from deployments.calibration_plan import Asked, cell_key, chosen_pools, planned, tier_arms

CONFIG = """
models:
  - name: shapes
    source: demo/weights
    default_size: 128x128
    default_steps: 20
    default_tier: none
    limits: {max_steps: 50, max_side: 128, max_pixels: 16384}
    pools:
      - {name: all, device: cpu, dtype: float32}
      - {name: quick, device: cpu, dtype: float32, tiers: [fast, ultra]}
      - {name: wide, device: cpu, num_ranks: 2, parallelism_config: {ulysses_size: 2}}
"""


@pytest.fixture
def args() -> dict[str, Any]:
    return yaml.safe_load(CONFIG)


@pytest.fixture
def config(args: dict[str, Any]) -> ClusterConfig:
    return ClusterConfig.model_validate(args)


def test_pools_of_several_ranks_are_left_out_with_a_word(config: ClusterConfig):
    chosen, left_out = chosen_pools(config, None, None)
    assert [pool.name for _, pool in chosen] == ["all", "quick"]
    assert left_out == ["shapes/wide has replicas of 2 ranks, and this command runs one process"]
    with pytest.raises(ConfigError, match="2 ranks"):
        chosen_pools(config, None, "wide")


def test_a_pool_that_is_not_there_is_refused_with_those_that_are(config: ClusterConfig):
    with pytest.raises(ConfigError, match=r"no pool shapes/slow .* shapes/all, shapes/quick"):
        chosen_pools(config, "shapes", "slow")


def test_pools_on_two_kinds_of_devices_make_no_one_table(args: dict[str, Any]):
    args["models"][0]["pools"][1] = {"name": "quick", "tiers": ["fast"]}
    with pytest.raises(ConfigError, match="--pool"):
        chosen_pools(ClusterConfig.model_validate(args), None, None)


def test_a_pool_without_none_is_measured_against_it_all_the_same(config: ClusterConfig):
    arms = tier_arms(config.models[0].pools[1])
    assert [arm.tier for arm in arms] == [Tier.NONE, Tier.FAST, Tier.ULTRA]


def test_every_tier_makes_every_picture_once_and_prompts_follow_each_other(config: ClusterConfig):
    asked = Asked(prompts=("a", "b"), rounds=3)
    chosen, _ = chosen_pools(config, None, "all")
    (work,) = planned(config, chosen, asked)
    cells = list(work.in_turn(seed=0))
    assert len({cell_key(work, arm, job) for arm, job in cells}) == len(cells) == 5 * 2 * 3
    for begin in range(0, len(cells), 5):
        assert len({arm.tier for arm, _ in cells[begin : begin + 5]}) == 5
        assert len({job.request_id for _, job in cells[begin : begin + 5]}) == 1
    assert len({job.seed for _, job in cells}) == 6
    assert [job.prompt for job in work.jobs] == ["a", "b"] * 3


def test_the_order_of_tiers_changes_from_picture_to_picture_and_not_from_run_to_run(
    config: ClusterConfig,
):
    chosen, _ = chosen_pools(config, None, "all")
    (work,) = planned(config, chosen, Asked(rounds=5))
    orders = [arm.name for arm, _ in work.in_turn(seed=0)]
    assert orders == [arm.name for arm, _ in work.in_turn(seed=0)]
    assert len({tuple(orders[begin : begin + 5]) for begin in range(0, len(orders), 5)}) > 5


def test_sizes_and_steps_are_the_models_defaults_or_every_pair_of_those_given(
    config: ClusterConfig,
):
    chosen, _ = chosen_pools(config, None, "all")
    (default,) = planned(config, chosen, Asked())
    job = default.jobs[0]
    assert (job.width, job.height, job.num_inference_steps) == (128, 128, 20)
    pairs = planned(config, chosen, Asked(sizes=("64x64", "128x64"), steps=(8, 12)))
    assert [(work.jobs[0].width, work.jobs[0].num_inference_steps) for work in pairs] == [
        (64, 8),
        (64, 12),
        (128, 8),
        (128, 12),
    ]


@pytest.mark.parametrize("asked", [Asked(sizes=("256x256",)), Asked(steps=(51,))])
def test_what_the_model_does_not_serve_is_not_measured(config: ClusterConfig, asked: Asked):
    chosen, _ = chosen_pools(config, None, "all")
    with pytest.raises(InvalidRequest):
        planned(config, chosen, asked)
