"""One pool's line: who can still make it, who is next, and what the pool can spare."""

from __future__ import annotations

import math

import pytest

from cluster.late import LATE_TURN, LateLine, late_turn
from cluster.pool import PoolConfig
from cluster.pool_line import PUT_OFF, PoolLine
from cluster.queue import Waiting
from tests.unit.cluster.jobs import waiting
from tests.unit.cluster.pools import pool


def line(
    *jobs: Waiting, replicas: int = 1, load_s: float = 60.0, late: tuple[Waiting, ...] = ()
) -> PoolLine:
    behind = LateLine()
    for each in late:
        behind.add(each)
    it = PoolLine(PoolConfig.model_validate(pool("p", load_s=load_s)), behind)
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


LATE = waiting(9, arrived_s=-200.0, due_s=-197.0, least_s=1.0)
"""Entitled since it was late by 21 s; late by 197 s to 210 s its turn is one second of two."""


def test_the_late_have_their_turn_after_so_much_other_work():
    late = waiting(9, arrived_s=-24.0, due_s=-21.0)
    it = line(late=(late,))
    it.since_turn_s = 19.0
    assert it.late_have_turn(0.0)
    it.since_turn_s = 18.9
    assert not it.late_have_turn(0.0)
    assert it.late_have_turn(1.0)


def test_nobody_has_a_turn_before_its_patience_is_over():
    it = line(late=(waiting(9, arrived_s=-24.0, due_s=-20.9),))
    it.since_turn_s = 1e9
    assert not it.late_have_turn(0.0)


def test_a_turn_that_would_break_a_promise_is_put_off_but_not_for_ever():
    tight = waiting(1, due_s=5.9, least_s=5.0, promised=True)
    it = line(tight, late=(LATE,))
    others_s = late_turn(LATE, 0.0) - 1.0
    it.since_turn_s = others_s
    assert not it.late_have_turn(0.0)
    it.leave(tight)
    assert it.late_have_turn(0.0)
    it.enter(tight, 5.0)
    it.since_turn_s = PUT_OFF * others_s
    assert it.late_have_turn(0.0)


def test_promises_leave_the_late_what_they_can_have_when_the_promise_is_due():
    it = line(late=(LATE,))
    assert late_turn(LATE, 13.0) == LATE_TURN * 21.0 / (13.0 + 197.0) == 2.0
    assert it.has_room_for(waiting(1, due_s=13.0), 6.5, 0.0, 1.0)
    assert not it.has_room_for(waiting(1, due_s=13.0), 6.6, 0.0, 1.0)
    it.enter(waiting(1, due_s=13.0, least_s=4.0, promised=True), 4.0)
    assert it.promise_slack_s(0.0) == 2.5


def test_clearing_keeps_the_replicas():
    job = waiting(1)
    it = line(job)
    it.clear()
    assert (job in it, it.candidate(0.0), it.replicas.idle) == (False, None, 1)
