"""Seconds of a computed and of a cached step, told apart by jobs that mix them."""

from __future__ import annotations

import math

from cluster.typical_seconds import (
    NEWEST_WEIGHT,
    SPREAD_PRIOR,
    Surprises,
    log_s,
    outlier_limit,
)

CACHED_RATIO_PRIOR = 0.15
"""A cached step's share of a computed one's seconds, until jobs tell: docs/benchmarks.md, where 28
steps of the embedded model take 0.427 s without cached steps and 0.210 s with 17 of them."""

RATIO_LEAST = 0.01
"""A cached step computes one block of the transformer at least, and the most have about a hundred.
"""

_RATIO_VARIANCE = math.log(2) ** 2
_RATIO_VARIANCE_LEAST = 0.01
"""Variances of the ratio's logarithm: before jobs tell, a factor of two; at the end, some 10 %."""

_NOISE = SPREAD_PRIOR**2
_STEP_DRIFT = NEWEST_WEIGHT**2 / (1 - NEWEST_WEIGHT) * _NOISE
"""Variance that the step gains between two jobs: in a steady state the newest then weighs as much
as `NEWEST_WEIGHT`."""


class StepSeconds:
    """Seconds of a computed step, and the part of them that a cached step takes.

    A job tells one sum only, `computed + ratio * cached` steps, so jobs of one tier cannot tell the
    two apart: the ratio stays as it was taken to be, and their own sum is right all the same.
    Jobs of a second tier settle it. This is an extended Kalman filter of the two logarithms (R. E.
    Kalman, Journal of Basic Engineering 82, 1960), with `SPREAD_PRIOR` for the noise of a job. The
    step drifts as much as leaves the newest job `NEWEST_WEIGHT`; the ratio, a matter of the pool's
    settings, does not. Outliers are clipped.
    """

    def __init__(self, denoise_s: float, computed: int, cached: int, ratio: float) -> None:
        """Begins with the steps of one job, at least one of them computed, and a first ratio."""
        self._surprises = Surprises()
        self._ratio_log = math.log(ratio)
        self._ratio_variance = _RATIO_VARIANCE
        self._covariance = self._step_variance = 0.0
        self._begin(denoise_s, computed, cached)

    @property
    def ratio(self) -> float:
        """Seconds of a cached step by those of a computed one."""
        return math.exp(self._ratio_log)

    @property
    def step_s(self) -> float:
        return math.exp(self._step_log)

    def learn(self, denoise_s: float, computed: int, cached: int) -> None:
        """Takes the denoising of one more job."""
        steps, share = self._steps_and_cached_share(computed, cached)
        surprise = log_s(denoise_s) - math.log(steps) - self._step_log
        step_variance = self._step_variance + _STEP_DRIFT
        with_step = step_variance + share * self._covariance
        with_ratio = self._covariance + share * self._ratio_variance
        variance = with_step + share * with_ratio + _NOISE
        limit = outlier_limit(variance)
        if self._surprises.is_change(surprise, limit):
            self._begin(denoise_s, computed, cached)
            return
        kept = min(max(surprise, -limit), limit)
        self._step_log += with_step / variance * kept
        ratio_log = self._ratio_log + with_ratio / variance * kept
        self._ratio_log = min(max(ratio_log, math.log(RATIO_LEAST)), 0.0)
        self._step_variance = step_variance - with_step**2 / variance
        self._covariance -= with_step * with_ratio / variance
        self._ratio_variance = max(
            self._ratio_variance - with_ratio**2 / variance, _RATIO_VARIANCE_LEAST
        )

    def _begin(self, denoise_s: float, computed: int, cached: int) -> None:
        """Takes the step from one job, with the ratio as it is believed to be."""
        steps, share = self._steps_and_cached_share(computed, cached)
        self._step_log = log_s(denoise_s) - math.log(steps)
        self._step_variance = _NOISE + share**2 * self._ratio_variance
        self._covariance = -share * self._ratio_variance

    def _steps_and_cached_share(self, computed: int, cached: int) -> tuple[float, float]:
        """Computed steps that take as long as all, and the share of the cached ones in them."""
        cached_work = self.ratio * cached
        steps = computed + cached_work
        return steps, cached_work / steps
