"""A job's place in the order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.queue import Offer, Waiting
from tests.unit.cluster.jobs import job, waiting
from tests.unit.cluster.pools import FAST, ULTRA


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_of_equal_priority_the_earliest_due_and_then_the_first_come_is_first(
    rows: list[tuple[int, int]],
):
    jobs = [waiting(n, arrived_s=at, due_s=at + had) for n, (at, had) in enumerate(rows)]
    ordered = sorted(jobs, key=lambda each: each.place)
    assert ordered == sorted(jobs, key=lambda each: (each.due_s, each.number))


@pytest.mark.parametrize(("priority", "place_s"), [(0, 140.0), (10, 120.0), (-10, 160.0)])
def test_priority_moves_the_place_by_half_of_the_time_that_the_job_has_at_most(
    priority: int, place_s: float
):
    assert waiting(1, arrived_s=100.0, due_s=140.0, priority=priority).place == (place_s, 1)


def test_the_shortest_work_is_that_of_the_pool_that_needs_least():
    offers = {"one": Offer((FAST, ULTRA), 4.0), "eight": Offer((ULTRA,), 1.5)}
    it = Waiting(job(), 0.0, 1, 9.0, promised=False, measured=True, offers=offers)
    assert it.least_s == 1.5


def test_two_jobs_with_the_same_values_are_two_jobs():
    assert waiting(1) != waiting(1)
