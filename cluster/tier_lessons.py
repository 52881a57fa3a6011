"""A calibration as lessons for the cost model, so that it forecasts before the first request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from cluster.cost import CostModel, Measured
from cluster.job import Job
from cluster.measured_tiers import MeasuredTier
from cluster.typical_seconds import OUTLIER_SPREADS, P95_SPREADS, SPREAD_PRIOR

_WIDEST = OUTLIER_SPREADS * SPREAD_PRIOR
"""The distance of two logarithms from which the second would count as an outlier."""


def teach(costs: CostModel, rows: Iterable[MeasuredTier]) -> None:
    """Teaches the model two jobs per row, which is as many as it needs to trust them.

    They lie as far on both sides of the row's median as makes its spread of them, so that both of
    its percentiles come out (`cluster.typical_seconds`): the two weigh the same, and the variance
    is half of the prior's and half of their distance squared. A spread below the prior's part of
    it, or beyond what counts as an outlier, is not met in full.
    """
    for row in rows:
        for job, measured in _lessons(row):
            costs.learn(job, row.pool, row.tier, measured)


def _lessons(row: MeasuredTier) -> Iterator[tuple[Job, Measured]]:
    spread = math.log(max(row.seconds_p95 / row.seconds_p50, 1.0)) / P95_SPREADS
    distance = min(math.sqrt(max(0.0, 2 * spread**2 - SPREAD_PRIOR**2)), _WIDEST)
    stages_s = row.encode_s + row.denoise_s + row.decode_s
    job = _job(row)
    for logarithm in (-distance / 2, distance / 2):
        scale = math.exp(logarithm) * row.seconds_p50 / stages_s
        yield (
            job,
            Measured(
                encode_s=scale * row.encode_s,
                denoise_s=scale * row.denoise_s,
                decode_s=scale * row.decode_s,
                steps_computed=round(row.steps_computed),
                steps_cached=row.steps - round(row.steps_computed),
            ),
        )


def _job(row: MeasuredTier) -> Job:
    """A job of the row's kind."""
    return Job(
        request_id="calibration",
        model=row.model,
        prompt="calibration",
        n=1,
        width=row.width,
        height=row.height,
        tier_requested=row.tier,
        min_tier=None,
        num_inference_steps=row.steps,
        seed=0,
        num_frames=row.num_frames,
        true_cfg_scale=1.0 if row.guided else None,
    )
