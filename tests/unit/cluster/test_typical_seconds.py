"""Typical seconds: exact where all are alike, steady where one is not, quick where all change."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.typical_seconds import SPREAD_PRIOR, TypicalSeconds

seconds = st.floats(0, 1e6, allow_subnormal=False)


def taught(first: float, *others: float) -> TypicalSeconds:
    typical = TypicalSeconds(first)
    for each in others:
        typical.learn(each)
    return typical


@given(st.lists(seconds, min_size=1, max_size=60))
def test_the_median_lies_among_the_measurements_and_95_of_100_are_not_under_it(all_s: list[float]):
    typical = taught(*all_s)
    assert math.isfinite(typical.p95_s)
    assert 0 < typical.p50_s <= typical.p95_s
    assert min(all_s) * 0.999 <= typical.p50_s <= max(max(all_s), 1e-6) * 1.001


@given(st.floats(1e-3, 1e4))
def test_the_first_measurement_is_the_median_and_its_spread_the_prior(first_s: float):
    typical = taught(first_s)
    assert typical.p50_s == pytest.approx(first_s)
    assert typical.p95_s == pytest.approx(first_s * math.exp(1.645 * SPREAD_PRIOR))


@given(st.floats(1e-3, 1e4))
def test_repeats_without_a_difference_leave_no_spread(each_s: float):
    typical = taught(*[each_s] * 100)
    assert typical.p50_s == pytest.approx(each_s)
    assert typical.p95_s == pytest.approx(each_s, rel=1e-4)


@pytest.mark.parametrize("factor", [10, 0.1])
def test_an_outlier_among_steady_measurements_moves_the_median_by_some_2_percent(factor: float):
    typical = taught(*[3.0] * 30, 3.0 * factor)
    assert typical.p50_s == pytest.approx(3.0, rel=0.025)
    assert typical.p95_s < 3.4


def test_an_outlier_in_every_sixth_measurement_does_not_carry_the_median_away():
    typical = taught(*[2.0, 2.02, 1.98, 2.01, 1.99, 20.0] * 20)
    assert typical.p50_s == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("factor", [10, 1.3, 1.05, 0.9, 0.2])
def test_a_lasting_change_is_followed_within_15_measurements(factor: float):
    typical = taught(*[3.0] * 30, *[3.0 * factor] * 15)
    assert typical.p50_s == pytest.approx(3.0 * factor, rel=0.02)


def test_a_first_measurement_that_compiled_is_forgotten_with_the_second():
    assert taught(60.0, 2.0).p50_s == pytest.approx(2.0)
    assert taught(60.0, 2.0, 2.1, 1.9).p95_s < 2.6


def test_an_outlier_in_the_second_place_is_not_believed():
    assert taught(2.0, 20.0).p50_s < 2.5
    assert taught(2.0, 20.0, *[2.0] * 5).p50_s == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("spread", [0.02, 0.1, 0.3])
def test_95_of_100_measurements_that_come_by_chance_stay_under_p95(spread: float):
    chance = random.Random(7)
    typical, under = taught(1.0), 0
    for _ in range(2000):
        each_s = math.exp(chance.gauss(0, spread))
        under += each_s <= typical.p95_s
        typical.learn(each_s)
    assert 0.91 <= under / 2000 <= 0.97
