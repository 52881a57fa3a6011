"""Forecast of the seconds that a job keeps a replica busy, from what jobs have taken.

A job like one that was measured is forecast from those alone. Any other is put together from the
stages of the pool's jobs (`cluster.pool_speed`) and the steps that its tier computes
(`cluster.step_masks`). A calibration's rows, each a job, where it ran and what it took, are taught
by `CostModel.learn` like the receipts of callers' jobs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from cluster.config import ModelConfig
from cluster.job import Job
from cluster.pool import PoolConfig
from cluster.pool_speed import Measured, PoolSpeed, Speed, is_guided, size_of
from cluster.step_masks import StepRange, expected_steps
from cluster.step_seconds import CACHED_RATIO_PRIOR
from cluster.tiers import Tier
from cluster.typical_seconds import NEWEST_WEIGHT, P95_SPREADS, SPREAD_PRIOR, TypicalSeconds

__all__ = ["CostModel", "Costs", "Forecast", "Measured"]

ENCODE_PRIOR_S = 0.1
MEGAPIXEL_PRIOR_S = 0.2
"""Seconds of encoding, and of a step or of decoding per million pixels, on one rank, where nothing
was ever measured. Their size is arbitrary: they put jobs, tiers and pools in order."""

JOBS_TO_TRUST = 2
"""Jobs of one size before forecasts for it count: the first may have paid for compiling."""

LIKENESSES_KEPT = 10_000
"""Kinds of jobs that are remembered: those that were measured last."""

_UNLIKE_MARGIN = math.exp(P95_SPREADS * SPREAD_PRIOR)

Likeness = tuple[str, Tier, int, int, int | None, int, int, bool]
"""What makes two jobs cost the same: pool, tier, width, height, frames, steps, n, guided or not."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds that a job keeps a replica busy: the median, and what 95 of 100 stay under.

    Where it goes by fewer jobs of the pool than `JOBS_TO_TRUST` it is not `measured`: a number to
    order by, and never one to refuse by.
    """

    p50_s: float
    p95_s: float
    measured: bool


class Costs(Protocol):
    """What knows the cost of a job before it is done."""

    def forecast(self, job: Job, pool: str, tier: Tier) -> Forecast: ...


class CostModel:
    """What jobs of one model take on its pools, learnt from those that were done.

    It is deterministic, and knows no time.
    """

    def __init__(self, model: ModelConfig) -> None:
        self._caches = {
            (pool.name, tier): pool.cache_for(tier) for pool in model.pools for tier in pool.tiers
        }
        self._ranks = {pool.name: pool.num_ranks for pool in model.pools}
        self._akin = {pool.name: _most_akin_first(pool, model.pools) for pool in model.pools}
        self._steps: dict[tuple[str, Tier, int], StepRange] = {}
        self._likes: dict[Likeness, tuple[TypicalSeconds, Forecast]] = {}
        self._speeds: dict[str, PoolSpeed] = {}
        self._computed_parts: dict[tuple[str, Tier], float] = {}

    def forecast(self, job: Job, pool: str, tier: Tier) -> Forecast:
        """The seconds of a job; seed and prompt make no difference.

        Raises:
            KeyError: the model has no such pool, or the pool does not serve the tier.
        """
        like = self._likes.get(likeness(job, pool, tier))
        if like is not None:
            known = like[1]
            sure = self._speeds[pool].jobs_like(job) >= JOBS_TO_TRUST
            return known if sure else replace(known, measured=False)
        if pool in self._speeds:
            speed = self._speeds[pool].speed(job)
            p50_s, p95_s = self._by_stages(speed, job, pool, tier)
            return Forecast(p50_s, p95_s, measured=speed.jobs >= JOBS_TO_TRUST)
        return self._unmeasured(job, pool, tier)

    def learn(self, job: Job, pool: str, tier: Tier, measured: Measured) -> None:
        """Takes what a job took on a pool and in a tier.

        Its first measurement is the forecast of its like. It may hold a compilation or a warm-up:
        if so, the second undercuts it by far and takes its place.
        """
        like = likeness(job, pool, tier)
        known = self._likes.pop(like, None)
        if known is None:
            typical = TypicalSeconds(measured.busy_s)
        else:
            typical = known[0]
            typical.learn(measured.busy_s)
        self._likes[like] = typical, Forecast(typical.p50_s, typical.p95_s, measured=True)
        if len(self._likes) > LIKENESSES_KEPT:
            del self._likes[next(iter(self._likes))]
        if pool in self._speeds:
            self._speeds[pool].learn(job, measured)
        else:
            self._speeds[pool] = PoolSpeed(job, measured)
        self._learn_computed_part(job, pool, tier, measured.steps_computed / job.n)

    def _unmeasured(self, job: Job, pool: str, tier: Tier) -> Forecast:
        """In proportion to the ranks of another pool, or of an invented one with one rank.

        The median takes a perfect speed-up for granted, which no group of ranks exceeds; what 95 of
        100 stay under takes it that more ranks do not help at all.
        """
        akin = next((name for name in self._akin[pool] if name in self._speeds), None)
        if akin is None:
            speed, ranks = _invented_speed(job), 1
        else:
            speed, ranks = self._speeds[akin].speed(job), self._ranks[akin]
        scale = ranks / self._ranks[pool]
        p50_s, p95_s = self._by_stages(speed, job, pool, tier)
        return Forecast(scale * p50_s, max(scale, 1.0) * p95_s, measured=False)

    def _by_stages(self, speed: Speed, job: Job, pool: str, tier: Tier) -> tuple[float, float]:
        """Median seconds and what 95 of 100 stay under, of a job whose like was never measured.

        Where the pictures decide how many steps are computed, the median goes by the part that they
        did before in this pool and tier, and by the middle if there were none; the other by the
        most.
        """
        steps = self._expected_steps(job, pool, tier)
        part = self._computed_parts.get((pool, tier), 0.5)
        computed = steps.least + part * (steps.most - steps.least)
        skipped = job.steps - computed
        p50_s = speed.encode_s + speed.decode_s
        p50_s += computed * speed.step_s + skipped * speed.cached_step_s
        skipped = job.steps - steps.most
        p95_s = speed.decode_s + steps.most * speed.step_s + skipped * speed.cached_step_s
        p95_s = _UNLIKE_MARGIN * (speed.encode_s + speed.stretch * p95_s)
        return speed.handover_s + job.n * p50_s, speed.handover_s + job.n * p95_s

    def _expected_steps(self, job: Job, pool: str, tier: Tier) -> StepRange:
        key = pool, tier, job.steps
        found = self._steps.get(key)
        if found is None:
            found = expected_steps(self._caches[pool, tier], tier, job.steps)
            self._steps[key] = found
        return found

    def _learn_computed_part(self, job: Job, pool: str, tier: Tier, computed: float) -> None:
        """How much of what the cache might have skipped was computed: 0 for nothing, 1 for all."""
        steps = self._expected_steps(job, pool, tier)
        if steps.least == steps.most:
            return
        part = min(max((computed - steps.least) / (steps.most - steps.least), 0.0), 1.0)
        known = self._computed_parts.get((pool, tier), part)
        self._computed_parts[pool, tier] = known + NEWEST_WEIGHT * (part - known)


def likeness(job: Job, pool: str, tier: Tier) -> Likeness:
    """What jobs that cost the same have in common."""
    return (
        pool,
        tier,
        job.width,
        job.height,
        job.num_frames,
        job.steps,
        job.n,
        is_guided(job),
    )


def _most_akin_first(pool: PoolConfig, pools: Iterable[PoolConfig]) -> tuple[str, ...]:
    """The other pools: those on the same kind of device first, of the nearest number of ranks."""

    def distance(other: PoolConfig) -> tuple[bool, float]:
        return other.device != pool.device, abs(math.log(other.num_ranks / pool.num_ranks))

    return tuple(other.name for other in sorted(pools, key=distance) if other is not pool)


def _invented_speed(job: Job) -> Speed:
    size = size_of(job)
    step_s = MEGAPIXEL_PRIOR_S * size.work / 1e6
    return Speed(
        encode_s=ENCODE_PRIOR_S,
        step_s=step_s,
        cached_step_s=CACHED_RATIO_PRIOR * step_s,
        decode_s=MEGAPIXEL_PRIOR_S * size.pixels / 1e6,
    )
