"""The order of what waits and the slack of its deadlines, against a plain sum over all jobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster import backlog
from cluster.backlog import Backlog
from cluster.queue import Waiting
from cluster.replicas import PoolReplicas
from tests.unit.cluster.jobs import waiting

Job = tuple[Waiting, float]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few jobs make many blocks."""
    monkeypatch.setattr(backlog, "BLOCK", 2)


def backlog_of(jobs: Sequence[Job]) -> Backlog:
    it = Backlog()
    for each, work_s in jobs:
        it.add(each, work_s)
    return it


def in_order(jobs: Sequence[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: job[0].place)


def plain_slack_s(jobs: Sequence[Job], supply: Callable[[float], float], start: int = 0) -> float:
    """The definition: the least, over the jobs from `start` on, of supply less work up to it."""
    ordered = in_order(jobs)
    done_s = accumulate(work_s for _, work_s in ordered)
    slacks = [supply(each.due_s) - done for (each, _), done in zip(ordered, done_s, strict=True)]
    return min(slacks[start:], default=math.inf)


def pool_of(free: int, ends_s: Sequence[int]) -> PoolReplicas:
    it = PoolReplicas(60.0)
    it.changed([str(number) for number in range(free + len(ends_s))])
    for end_s in ends_s:
        it.take(float(end_s))
    return it


numbered = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 8), st.integers(-10, 10)), max_size=40
)
jobs = numbered.map(
    lambda rows: [
        (waiting(number, due_s=float(due_s), priority=priority), float(work_s))
        for number, (due_s, work_s, priority) in enumerate(rows)
    ]
)


def test_nothing_that_waits_has_all_the_slack():
    it = Backlog()
    assert (len(it), it.first(), it.slack_s(lambda _: 5.0, 1)) == (0, None, math.inf)
    assert it.slack_behind_s(waiting(1), lambda _: 5.0, 1, 2.0) == 3.0


def test_the_slack_is_that_of_the_tightest_deadline():
    it = backlog_of([(waiting(1, due_s=10.0), 4.0), (waiting(2, due_s=12.0), 7.0)])
    assert it.slack_s(lambda until_s: until_s, 1) == 1.0
    assert it.slack_s(lambda until_s: 2 * until_s, 2) == 13.0


def test_a_job_is_here_until_it_is_taken_out():
    one, other = waiting(1), waiting(2)
    it = backlog_of([(one, 4.0)])
    assert (it.remove(other), it.remove(one), it.remove(one)) == (False, True, False)
    assert (len(it), it.first()) == (0, None)


@given(jobs, st.lists(st.integers(0, 39), max_size=40))
def test_the_first_is_always_the_least_place(jobs: list[Job], gone: list[int]):
    it = backlog_of(jobs)
    for number in gone:
        if number < len(jobs):
            it.remove(jobs[number][0])
    left = in_order([job for number, job in enumerate(jobs) if number not in gone])
    assert len(it) == len(left)
    for each, _ in left:
        assert it.first() is each
        assert it.remove(each)
    assert it.first() is None


@given(jobs, st.integers(1, 4), st.integers(0, 30))
@settings(max_examples=200)
def test_the_slack_is_exact_where_all_replicas_are_free(jobs: list[Job], free: int, now_s: int):
    def supply(until_s: float) -> float:
        return free * (until_s - now_s)

    assert backlog_of(jobs).slack_s(supply, free) == plain_slack_s(jobs, supply)


@given(jobs, st.integers(0, 3), st.lists(st.integers(1, 30), min_size=1, max_size=3))
@settings(max_examples=200)
def test_the_slack_is_over_by_no_more_than_what_runs_where_replicas_are_busy(
    jobs: list[Job], free: int, ends_s: list[int]
):
    replicas = pool_of(free, ends_s)

    def supply(until_s: float) -> float:
        return replicas.supply_s(until_s, 0.0)

    plain_s = plain_slack_s(jobs, supply)
    slack_s = backlog_of(jobs).slack_s(supply, replicas.count)
    assert plain_s <= slack_s <= plain_s + sum(ends_s)


@given(
    jobs.filter(bool),
    st.integers(0, 3),
    st.lists(st.integers(1, 30), max_size=3),
    st.integers(0, 8),
)
@settings(max_examples=200)
def test_the_slack_behind_a_job_is_that_of_the_line_with_it_from_its_place_on(
    jobs: list[Job], free: int, ends_s: list[int], work_s: int
):
    replicas = pool_of(free + 1, ends_s)

    def supply(until_s: float) -> float:
        return replicas.supply_s(until_s, 0.0)

    new, there = (jobs[-1][0], float(work_s)), jobs[:-1]
    whole = [*there, new]
    plain_s = plain_slack_s(whole, supply, start=in_order(whole).index(new))
    slack_s = backlog_of(there).slack_behind_s(new[0], supply, replicas.count, new[1])
    assert plain_s <= slack_s <= plain_s + sum(ends_s)
