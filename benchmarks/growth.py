"""Does a size grow? A slope that outliers do not move, its confidence, and the verdict. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

MOST_MB_A_MINUTE = 1.0
"""What a process may grow for long: at this rate it takes a day to fill 1.4 GB."""

CONFIDENT_Z = 1.96
"""Of the normal distribution, for 95 %."""


@dataclass(frozen=True)
class Slope:
    """Units a minute: the estimate, and between what it lies with a confidence of 95 %."""

    a_minute: float
    low: float
    high: float

    def is_growth(self, most_a_minute: float) -> bool:
        """More than is allowed, and more than chance."""
        return self.a_minute > most_a_minute and self.low > 0


def theil_sen(minutes: Sequence[float], values: Sequence[float]) -> Slope:
    """The median of the slopes of all pairs, with Sen's interval around it.

    P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63 (1968). The
    interval takes errors as independent, which sizes of a process are not quite: it is too narrow
    rather than too wide.

    Raises:
        ValueError: fewer than three points, or not as many of both.
    """
    points = list(zip(minutes, values, strict=True))
    if len(points) < 3:
        raise ValueError(f"a slope with its confidence needs three points, not {len(points)}")
    slopes = sorted((y - x) / (b - a) for (a, x), (b, y) in combinations(points, 2))
    count = len(points)
    spread = CONFIDENT_Z * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2) - 1)
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    middle = len(slopes) // 2
    median = slopes[middle] if len(slopes) % 2 else (slopes[middle - 1] + slopes[middle]) / 2
    return Slope(median, slopes[low], slopes[high])
