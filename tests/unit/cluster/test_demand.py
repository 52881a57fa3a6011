"""The work that arrives for a pool, and the work that waits."""

from __future__ import annotations

import pytest

from cluster.demand import ARRIVALS, FIRST_S, Demand


def test_nothing_is_asked_of_a_pool_to_which_nothing_came():
    it = Demand()
    assert (it.work_per_s(5.0), it.waiting, it.waiting_s, it.go(1)) == (0.0, 0, 0.0, 0.0)


def test_the_first_arrivals_are_spread_over_a_minute():
    it = Demand()
    it.arrive(6.0, 100.0)
    it.arrive(6.0, 100.0)
    assert it.work_per_s(100.0) == 12.0 / FIRST_S
    assert it.work_per_s(100.0 + 2 * FIRST_S) == 6.0 / FIRST_S


def test_a_job_may_be_left_out_of_the_rate():
    it = Demand()
    it.arrive(6.0, 0.0)
    assert it.work_per_s(0.0, without_s=2.0) == 4.0 / FIRST_S
    assert it.work_per_s(0.0, without_s=7.0) == 0.0


@pytest.mark.parametrize("each_s", [0.01, 2.0])
def test_the_rate_is_that_of_the_last_arrivals(each_s: float):
    it = Demand()
    for number in range(3 * ARRIVALS):
        it.arrive(50.0 if number < ARRIVALS else 1.0, each_s * number)
    assert it.work_per_s(each_s * 3 * ARRIVALS) == pytest.approx(1.0 / each_s)


def test_the_rate_falls_while_nothing_comes():
    it = Demand()
    for number in range(2 * ARRIVALS):
        it.arrive(1.0, float(number))
    assert it.work_per_s(1e6) == pytest.approx(ARRIVALS / 1e6, rel=0.001)


def test_the_work_that_waits_is_what_came_less_what_went():
    it = Demand()
    it.wait(1, 2.0)
    it.wait(2, 3.5)
    assert (it.waiting, it.waiting_s) == (2, 5.5)
    assert (it.go(1), it.go(1)) == (2.0, 0.0)
    assert (it.waiting, it.waiting_s) == (1, 3.5)
