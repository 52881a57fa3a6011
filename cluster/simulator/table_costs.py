"""Forecasts that are right: the true medians of a trace's kinds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cluster.cost import Forecast
from cluster.job import Job
from cluster.simulator.mixes import TIER_WORK, Kind
from cluster.tiers import Tier

_Z95 = 1.6449
"""Of a standard normal variable 95 % is below."""


class TableCosts:
    """Seconds of a kind in a tier on a pool: those at `none`, times the tier's, over the speed.

    `noise` is the sigma of the lognormal factor by which requests differ from their medians.
    """

    def __init__(
        self, kinds: Sequence[Kind], speeds: Mapping[str, float], noise: float = 0.0
    ) -> None:
        self._forecasts = {
            (kind.width, kind.height, kind.steps, kind.frames, pool, tier): Forecast(
                p50_s=(median_s := kind.none_s * work / speed),
                p95_s=median_s * math.exp(_Z95 * noise),
                measured=True,
            )
            for kind in kinds
            for pool, speed in speeds.items()
            for tier, work in TIER_WORK.items()
        }

    def forecast(self, job: Job, pool: str, tier: Tier) -> Forecast:
        """The true median and 95th percentile; raises KeyError for a kind that is not known."""
        return self._forecasts[
            job.width, job.height, job.num_inference_steps, job.num_frames, pool, tier
        ]
