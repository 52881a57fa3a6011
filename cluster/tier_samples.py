"""From the single pictures of a calibration to the row of a tier."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.job import Job
from cluster.measured_tiers import MeasuredTier
from cluster.pool import PoolConfig
from cluster.pool_speed import is_guided
from cluster.tiers import Tier


@dataclass(frozen=True, slots=True)
class Timing:
    """What one picture or clip took and what was computed for it."""

    encode_s: float
    denoise_s: float
    decode_s: float
    steps_computed: int
    steps_cached: int
    peak_memory_bytes: int | None

    @property
    def seconds(self) -> float:
        return self.encode_s + self.denoise_s + self.decode_s


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How near a picture is to that of `none`; `psnr_db` is infinite where every pixel is equal.

    `adherence` is facts right and asked; what is None was not judged.
    """

    psnr_db: float
    ssim: float
    lpips: float | None = None
    clip_score: float | None = None
    adherence: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a tier, beside the seconds of `none` in the same round."""

    timing: Timing
    none_s: float
    fidelity: Fidelity


def summary(pool: PoolConfig, tier: Tier, job: Job, samples: Sequence[Sample]) -> MeasuredTier:
    """The row of a tier from at least one sample; `job` is one of those that were done."""
    timings = [sample.timing for sample in samples]
    seconds = [timing.seconds for timing in timings]
    ratios = [sample.none_s / sample.timing.seconds for sample in samples]
    found = [sample.fidelity for sample in samples]
    psnrs_db = [fidelity.psnr_db for fidelity in found]
    return MeasuredTier(
        model=job.model,
        pool=pool.name,
        tier=tier,
        width=job.width,
        height=job.height,
        num_frames=job.num_frames,
        steps=job.num_inference_steps,
        guided=is_guided(job),
        pictures=len(samples),
        seconds_p50=statistics.median(seconds),
        seconds_p95=quantile(seconds, 0.95),
        encode_s=statistics.median(timing.encode_s for timing in timings),
        denoise_s=statistics.median(timing.denoise_s for timing in timings),
        decode_s=statistics.median(timing.decode_s for timing in timings),
        steps_computed=statistics.fmean(timing.steps_computed for timing in timings),
        steps_cached=statistics.fmean(timing.steps_cached for timing in timings),
        speed_up=statistics.median(ratios),
        speed_up_q25=quantile(ratios, 0.25),
        speed_up_q75=quantile(ratios, 0.75),
        psnr_db=_finite(statistics.median(psnrs_db)),
        psnr_least_db=_finite(min(psnrs_db)),
        ssim=statistics.fmean(fidelity.ssim for fidelity in found),
        lpips=_mean([fidelity.lpips for fidelity in found]),
        clip_score=_mean([fidelity.clip_score for fidelity in found]),
        adherence=_facts([fidelity.adherence for fidelity in found]),
        peak_memory_bytes=max(
            (timing.peak_memory_bytes for timing in timings if timing.peak_memory_bytes),
            default=None,
        ),
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies, interpolated linearly between two."""
    in_order = sorted(values)
    place = share * (len(in_order) - 1)
    below = math.floor(place)
    above = min(below + 1, len(in_order) - 1)
    return in_order[below] + (place - below) * (in_order[above] - in_order[below])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _facts(judged: Sequence[tuple[int, int] | None]) -> tuple[int, int] | None:
    known = [facts for facts in judged if facts is not None]
    return (sum(right for right, _ in known), sum(asked for _, asked in known)) if known else None
