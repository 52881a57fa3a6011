"""The benchmarks' formulas: speed-ups, spreads, PSNR. Imports no torch and measures nothing."""

from __future__ import annotations

import io
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """A middle and the middle half around it, in the unit of the values."""

    median: float
    q25: float
    q75: float


def spread(values: Sequence[float]) -> Spread:
    """Median, 25th and 75th percentile (interpolated between the values, as numpy does).

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("a spread needs at least one value")
    q25, q75 = (float(np.percentile(values, percent)) for percent in (25, 75))
    return Spread(statistics.median(values), q25, q75)


def ratio_of_medians(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of `above` over the median of `below`; a speed-up when `above` is the baseline."""
    return statistics.median(above) / statistics.median(below)


def median_of_ratios(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of `above[i] / below[i]`, where i is a round.

    What slows a whole round down cancels in its ratio, so on a noisy machine this is the number
    to believe.

    Raises:
        ValueError: not as many values above as below, or none.
    """
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def ideal_speedup(
    steps_computed: float, steps_cached: float, *, blocks_when_cached: int, blocks: int
) -> float:
    """The denoise stage's speed-up if nothing but transformer blocks took time, all of them alike.

    A cached step costs the share of the blocks that it still runs: in cache-dit's DBCache, Fn at
    the front and Bn at the back of each list of blocks. Hence (issue 2, section 6)

        steps / (computed + cached * blocks_when_cached / blocks)

    Raises:
        ValueError: no steps, or a cached step would run more blocks than there are.
    """
    if not 0 <= blocks_when_cached <= blocks or blocks < 1:
        raise ValueError(f"a cached step cannot run {blocks_when_cached} of {blocks} blocks")
    cost = steps_computed + steps_cached * blocks_when_cached / blocks
    if cost <= 0:
        raise ValueError("an ideal speed-up needs at least one step")
    return (steps_computed + steps_cached) / cost


def psnr_db(reference: bytes, picture: bytes) -> float:
    """Peak signal-to-noise ratio of two picture files, in dB; infinite when no pixel differs.

    10 * log10(255^2 / MSE) over all pixels and the three channels.

    Raises:
        ValueError: the pictures are of different sizes.
    """
    first, second = _pixels(reference), _pixels(picture)
    if first.shape != second.shape:
        raise ValueError(f"pictures of different sizes: {first.shape} and {second.shape}")
    mse = float(np.mean((first - second) ** 2))
    return math.inf if mse == 0 else 10 * math.log10(255**2 / mse)


def shuffled_rounds(arms: Sequence[T], rounds: int, seed: int) -> Iterator[list[T]]:
    """One list per round with every arm once, in an order that `seed` alone decides."""
    rng = random.Random(seed)
    for _ in range(rounds):
        yield rng.sample(list(arms), len(arms))


def _pixels(picture: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64)
