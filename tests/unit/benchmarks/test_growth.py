"""A slope that outliers do not move, and when it counts as growth."""

from __future__ import annotations

import random

import pytest

from benchmarks.growth import MOST_MB_A_MINUTE, theil_sen

MINUTES = [number / 6 for number in range(60)]
"""Ten of them, a sample every ten seconds."""


def noisy(a_minute: float, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [100 + a_minute * minute + rng.gauss(0, 1.0) for minute in MINUTES]


def test_the_slope_of_a_line_is_exact() -> None:
    slope = theil_sen(MINUTES, [5 + 2 * minute for minute in MINUTES])
    assert slope.a_minute == pytest.approx(2)
    assert slope.low == pytest.approx(2)
    assert slope.high == pytest.approx(2)


def test_a_few_outliers_do_not_move_it() -> None:
    values = noisy(0.0)
    values[7] += 500
    values[33] -= 300
    assert abs(theil_sen(MINUTES, values).a_minute) < 0.1


@pytest.mark.parametrize("a_minute", [0.0, 0.5, 3.0])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(a_minute: float) -> None:
    held = 0
    for seed in range(200):
        slope = theil_sen(MINUTES, noisy(a_minute, seed))
        held += slope.low <= a_minute <= slope.high
    assert held >= 0.92 * 200


def test_growth_is_more_than_is_allowed_and_more_than_chance() -> None:
    assert theil_sen(MINUTES, noisy(3.0)).is_growth(MOST_MB_A_MINUTE)
    assert not theil_sen(MINUTES, noisy(0.5)).is_growth(MOST_MB_A_MINUTE)
    assert not theil_sen(MINUTES, noisy(-3.0)).is_growth(MOST_MB_A_MINUTE)
    few = theil_sen([0, 1, 2, 3], [0, 40, -10, 30])
    assert few.a_minute > MOST_MB_A_MINUTE
    assert not few.is_growth(MOST_MB_A_MINUTE)


def test_two_points_have_no_confidence() -> None:
    with pytest.raises(ValueError, match="needs three points, not 2"):
        theil_sen([0, 1], [0, 1])
