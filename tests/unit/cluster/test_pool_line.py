"""One pool's line: who can still make it, who is next, and what the pool can spare."""

from __future__ import annotations

import math

import pytest

from cluster.pool import PoolConfig
from cluster.pool_line import PoolLine
from cluster.queue import Waiting
from tests.unit.cluster.jobs import waiting
from tests.unit.cluster.pools import pool


def line(*jobs: Waiting, replicas: int = 1, load_s: float = 60.0) -> PoolLine:
    it = PoolLine(PoolConfig.model_validate(pool("p", load_s=load_s)))
    it.replicas.changed([str(number) for number in range(replicas)])
    for each in jobs:
        it.enter(each, each.least_s)
    return it


def test_a_job_fits_until_the_last_moment_to_begin_it():
    it, job = line(), waiting(1, due_s=10.0, least_s=4.0)
    assert it.fits(job, 6.0)
    assert not it.fits(job, 6.1)


def test_on_a_pool_without_replicas_the_last_moment_is_when_one_is_loaded():
    it, job = line(replicas=0, load_s=5.0), waiting(1, due_s=10.0, least_s=4.0)
    assert it.fits(job, 1.0)
    assert not it.fits(job, 1.1)
    it.replicas.wake(0.0)
    assert it.fits(job, 4.0)


def test_those_that_can_no_longer_make_it_are_taken_out_once():
    soon, later = waiting(1, due_s=5.0), waiting(2, due_s=9.0)
    it = line(soon, later)
    assert list(it.closed(4.0)) == []
    assert list(it.closed(4.1)) == [soon]
    assert (soon in it, later in it, list(it.closed(4.1))) == (False, True, [])


def test_one_that_has_left_does_not_close():
    job = waiting(1, due_s=5.0)
    it = line(job)
    it.leave(job)
    it.leave(job)
    assert (job in it, list(it.closed(9.0)), it.candidate(0.0)) == (False, [], None)


@pytest.mark.parametrize(("target_s", "next_one"), [(4.0, "target"), (4.5, "promise")])
def test_a_target_goes_before_a_promise_only_if_the_promise_can_be_kept_after_it(
    target_s: float, next_one: str
):
    jobs = {
        "promise": waiting(1, due_s=10.0, least_s=6.0, promised=True),
        "target": waiting(2, due_s=9.0, least_s=target_s),
    }
    assert line(*jobs.values()).candidate(0.0) is jobs[next_one]


def test_a_promise_that_is_due_first_goes_first():
    promise = waiting(1, due_s=5.0, promised=True)
    assert line(waiting(2, due_s=9.0), promise).candidate(0.0) is promise


def test_what_the_pool_can_spare_is_the_least_slack_of_those_who_wait():
    it = line(waiting(1, due_s=5.0), waiting(2, due_s=6.0, least_s=3.0, promised=True), replicas=2)
    assert it.slack_s(0.0) == 2 * 6.0 - 1.0 - 3.0
    assert it.promise_slack_s(0.0) == 2 * 6.0 - 3.0
    assert line().slack_s(0.0) == math.inf


def test_there_is_room_for_what_leaves_all_promises_within_the_usable_part():
    it = line(waiting(1, due_s=10.0, least_s=6.0, promised=True))
    new = waiting(2, due_s=8.0)
    assert it.has_room_for(new, 4.0, 0.0, 1.0)
    assert not it.has_room_for(new, 4.1, 0.0, 1.0)
    assert it.has_room_for(new, 3.0, 0.0, 0.9)
    assert not it.has_room_for(new, 3.1, 0.0, 0.9)


def test_targets_take_no_room_from_promises():
    it = line(waiting(1, due_s=5.0, least_s=5.0))
    assert it.has_room_for(waiting(2, due_s=5.0), 5.0, 0.0, 1.0)


def test_clearing_keeps_the_replicas():
    job = waiting(1)
    it = line(job)
    it.clear()
    assert (job in it, it.candidate(0.0), it.replicas.idle) == (False, None, 1)
