"""What Serve is asked for per replica: the bundle of the replica itself first, then the ranks."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.config import ModelConfig
from deployments.options import pool_group, pool_options

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
