"""The typical seconds of work that is done again and again, on machines that others disturb."""

from __future__ import annotations

import math

SPREAD_PRIOR = 0.1
"""Standard deviation of the logarithm, taken for work that was hardly measured: some 10 %."""

NEWEST_WEIGHT = 0.2
"""The least weight of the newest measurement: a change has sunk in by nine tenths after ten."""

NEVER_AN_OUTLIER = 0.1
"""A difference of logarithms, some 10 %, that counts in full however steady the work was."""

OUTLIER_SPREADS = 3.0
"""Standard deviations from which a measurement is an outlier."""

CHANGE_RUN = 3
"""Outliers in a row, all too slow or all too fast, that are taken for a change."""

P95_SPREADS = 1.645
"""Standard deviations above the median under which 95 % of a normal distribution lie."""

_TICK_S = 1e-6


class Surprises:
    """Tells outliers from changes. A surprise is a difference of two logarithms of seconds."""

    def __init__(self) -> None:
        self._taken = 1
        self._run = 0

    def is_change(self, surprise: float, limit: float) -> bool:
        """Whether everything before this measurement is out of date.

        Three surprises in a row beyond the limit, on one side, say so. So does a second measurement
        that is beyond it on the lower side: the first job may have paid for compiling or for
        warming up, and nothing makes a job too fast by accident.
        """
        if abs(surprise) <= limit:
            self._run = 0
        else:
            side = 1 if surprise > 0 else -1
            self._run = side + (self._run if self._run * side > 0 else 0)
        undercut = self._taken == 1 and surprise < -limit
        changed = undercut or abs(self._run) == CHANGE_RUN
        self._taken = 1 if changed else self._taken + 1
        self._run = 0 if changed else self._run
        return changed


class TypicalSeconds:
    """Median and spread of seconds that come one by one.

    Exponentially weighted mean and variance of the logarithms, where an outlier counts for no more
    than a limit (Huber's proposal for robust means, Annals of Mathematical Statistics 35, 1964).
    The first measurement is the median at once. The spread begins at `SPREAD_PRIOR`, which weighs
    as much as one measurement and fades like one: after repeats without a difference it goes to 0.
    """

    def __init__(self, seconds: float) -> None:
        self._surprises = Surprises()
        self._begin(log_s(seconds))

    @property
    def p50_s(self) -> float:
        return math.exp(self._log)

    @property
    def p95_s(self) -> float:
        """What 95 of 100 stay under, if the logarithms are normally distributed."""
        return math.exp(self._log + P95_SPREADS * math.sqrt(self._variance))

    def learn(self, seconds: float) -> None:
        """Takes one more measurement."""
        surprise = log_s(seconds) - self._log
        limit = outlier_limit(self._variance)
        if self._surprises.is_change(surprise, limit):
            self._begin(log_s(seconds))
            return
        self._count += 1
        kept = min(max(surprise, -limit), limit)
        weight = max(1 / self._count, NEWEST_WEIGHT)
        self._log += weight * kept
        self._variance += weight * (kept**2 - self._variance)

    def _begin(self, log: float) -> None:
        self._log, self._variance, self._count = log, SPREAD_PRIOR**2, 1


def log_s(seconds: float) -> float:
    """The logarithm of measured seconds, of which none is less than a clock can tell."""
    return math.log(max(seconds, _TICK_S))


def outlier_limit(variance: float) -> float:
    """The surprise from which a measurement is an outlier, where surprises have this variance."""
    return max(OUTLIER_SPREADS * math.sqrt(variance), NEVER_AN_OUTLIER)
