"""Pools for the tests of the policy: a model of some, and a table of what jobs take on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cluster.config import ModelConfig
from cluster.cost import Forecast
from cluster.job import Job
from cluster.tiers import Tier

NONE, SLOW, MEDIUM, FAST, ULTRA = Tier

STEP_S = {NONE: 1.0, SLOW: 0.75, MEDIUM: 0.5, FAST: 0.375, ULTRA: 0.25}
"""Seconds of a step at speed 1: a job of eight steps takes 8, 6, 4, 3 or 2."""


class TableCosts:
    """Exact seconds by steps, tier and the speed of the pool; 1 where none is given."""

    def __init__(
        self,
        speeds: Mapping[str, float] | None = None,
        *,
        spread: float = 1.0,
        measured: bool = True,
    ) -> None:
        self._speeds = speeds or {}
        self._spread = spread
        self._measured = measured

    def forecast(self, job: Job, pool: str, tier: Tier) -> Forecast:
        seconds = job.num_inference_steps * STEP_S[tier] / self._speeds.get(pool, 1.0)
        return Forecast(seconds, self._spread * seconds, self._measured)


def pool(
    name: str, tiers: Collection[Tier] = tuple(Tier), *, ranks: int = 1, load_s: float = 60.0
) -> dict[str, Any]:
    """The config of a pool."""
    return {
        "name": name,
        "device": "cpu",
        "tiers": [str(tier) for tier in tiers],
        "num_ranks": ranks,
        "parallelism_config": {"ulysses_size": ranks} if ranks > 1 else {},
        "autoscaling": {"min_replicas": 0, "max_replicas": 8, "cold_start_s": load_s},
    }


def model_of(*pools: dict[str, Any], **settings: Any) -> ModelConfig:
    """A model of these pools, with medium as its default tier unless told otherwise."""
    return ModelConfig.model_validate(
        {"name": "shapes", "source": "somewhere", "pools": list(pools)} | settings
    )
