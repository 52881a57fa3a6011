"""When requests come: endless seeded series of times for a mean rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Protocol


class ArrivalProcess(Protocol):
    """Times of arrivals in seconds, rising, for ever; `rate` is their mean number per second."""

    def times(self, rate: float, random: Random) -> Iterator[float]: ...


@dataclass(frozen=True)
class Poisson:
    """Independent arrivals: gaps are exponential."""

    def times(self, rate: float, random: Random) -> Iterator[float]:
        return accumulate(iter(lambda: random.expovariate(rate), None))


@dataclass(frozen=True)
class Gamma:
    """Bursts: gaps are gamma distributed with the coefficient of variation `cv`.

    A cv of 1 is Poisson; of 2 to 8, many short gaps and few long ones. Shape and scale are
    1 / cv^2 and cv^2 / rate, so that the mean is 1 / rate.
    """

    cv: float = 4.0

    def times(self, rate: float, random: Random) -> Iterator[float]:
        shape, scale_s = self.cv**-2, self.cv**2 / rate
        return accumulate(iter(lambda: random.gammavariate(shape, scale_s), None))


@dataclass(frozen=True)
class Day:
    """A rate that swings around its mean by the share `swing`, as a sine of `period_s` seconds.

    Drawn by thinning of a Poisson series at the highest rate (Lewis and Shedler 1979).
    """

    period_s: float = 3600.0
    swing: float = 0.5

    def times(self, rate: float, random: Random) -> Iterator[float]:
        highest = 1 + self.swing
        for at_s in Poisson().times(rate * highest, random):
            now = 1 + self.swing * math.sin(2 * math.pi * at_s / self.period_s)
            if random.random() * highest < now:
                yield at_s
