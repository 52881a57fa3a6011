"""What a caller may rely on: tier and time, one plain case at a time."""

from __future__ import annotations

import dataclasses

import pytest

from cluster.errors import OutOfReach
from cluster.late import LATE_TURN
from cluster.tiers import Tier
from tests.unit.cluster.by_hand import ONE_POOL, id_of, keep_busy, scheduler, sent
from tests.unit.cluster.jobs import job
from tests.unit.cluster.pools import FAST, MEDIUM, NONE, SLOW, ULTRA, TableCosts
from tests.unit.cluster.timeline import Timeline


def test_nobody_waits_and_nobody_is_sent():
    it = scheduler()
    assert (len(it), it.next_dispatch(0.0), it.leave("a"), it.waiting("a")) == (0, None, None, None)


def test_a_job_goes_to_a_free_replica_which_is_busy_until_it_has_finished():
    it = scheduler()
    it.arrive(job("a", tier_requested="fast"), 0.0)
    it.arrive(job("b", tier_requested="fast"), 0.0)
    first = sent(it)
    assert (id_of(first), first.pool, first.replica, first.tier) == ("a", "p", "p-0", FAST)
    assert it.next_dispatch(0.0) is None
    it.finished(first, 3.0)
    assert id_of(it.next_dispatch(3.0)) == "b"


@pytest.mark.parametrize(("tier", "seconds"), [("none", 8.0), ("ultra", 2.0)])
def test_without_a_deadline_a_job_is_due_after_three_times_its_forecast(tier: str, seconds: float):
    it = scheduler()
    it.arrive(job("a", tier_requested=tier), 100.0)
    waiting = it.waiting("a")
    assert waiting is not None
    assert (waiting.due_s, waiting.promised) == (100.0 + 3 * seconds, False)


def test_the_earliest_due_goes_first_whenever_it_came():
    it = scheduler()
    busy = keep_busy(it)
    for request_id, deadline_s in [("late", 90.0), ("soon", 30.0), ("middle", 60.0)]:
        it.arrive(job(request_id, deadline_s=deadline_s), 0.0)
    order = []
    running = busy
    for now_s in (8.0, 16.0, 24.0):
        it.finished(running, now_s)
        running = sent(it, now_s)
        order.append(id_of(running))
    assert order == ["soon", "middle", "late"]


def test_one_that_cannot_make_it_comes_after_all_that_can():
    it = scheduler()
    busy = keep_busy(it)
    it.arrive(job("missed", tier_requested="none", deadline_s=9.0, late="accept"), 0.0)
    it.arrive(job("can", tier_requested="none", deadline_s=99.0), 0.0)
    it.finished(busy, 8.0)
    can = sent(it, 8.0)
    it.finished(can, 16.0)
    assert (id_of(can), id_of(it.next_dispatch(16.0))) == ("can", "missed")


def test_auto_without_a_deadline_is_never_worse_than_the_default_tier_however_many_wait():
    timeline = Timeline(ONE_POOL, TableCosts(), {"p": 2})
    for number in range(200):
        timeline.arrive(job(str(number)))
    timeline.go_on(1e6)
    assert len(timeline.begun) == 200
    assert all(each.tier.rank <= MEDIUM.rank for _, each in timeline.begun)


def test_auto_with_a_deadline_goes_down_to_ultra_where_time_demands_it():
    it = scheduler()
    it.arrive(job("a", deadline_s=2.5), 0.0)
    assert sent(it).tier is ULTRA


@pytest.mark.parametrize(
    ("deadline_s", "tier"), [(8.0, NONE), (7.9, SLOW), (4.0, MEDIUM), (3.5, FAST), (2.0, ULTRA)]
)
def test_an_idle_pool_serves_the_best_tier_that_meets_the_deadline(deadline_s: float, tier: Tier):
    it = scheduler()
    it.arrive(job("a", deadline_s=deadline_s), 0.0)
    assert sent(it).tier is tier


def test_a_better_tier_leaves_the_deadlines_behind_it_kept():
    it = scheduler()
    busy = keep_busy(it)
    it.arrive(job("first", deadline_s=16.0), 0.0)
    it.arrive(job("second", tier_requested="medium", deadline_s=17.0), 0.0)
    it.finished(busy, 8.0)
    first = sent(it, 8.0)
    assert first.forecast.p50_s + 4.0 <= 17.0 - 8.0
    assert (id_of(first), first.tier.rank > NONE.rank) == ("first", True)


@pytest.mark.parametrize("deadline_s", [None, 8.5, 80.0])
def test_a_named_tier_is_served_as_named_under_any_load(deadline_s: float | None):
    timeline = Timeline(ONE_POOL, TableCosts(), {"p": 1})
    for number in range(20):
        timeline.arrive(job(str(number), tier_requested="none", deadline_s=deadline_s))
    timeline.go_on(1e6)
    assert {each.tier for _, each in timeline.begun} == {NONE}


def test_a_named_tier_with_a_floor_may_fall_to_the_floor_and_no_further():
    it = scheduler()
    asked = {"tier_requested": "none", "min_tier": FAST}
    assert isinstance(it.arrive(job("no", deadline_s=2.9, **asked), 0.0), OutOfReach)
    assert it.arrive(job("a", deadline_s=3.1, **asked), 0.0) is None
    assert sent(it).tier is FAST


@pytest.mark.parametrize(("deadline_s", "promised"), [(10.4, False), (10.5, True)])
def test_a_promise_leaves_room_for_work_that_takes_longer_than_its_median(
    deadline_s: float, promised: bool
):
    it = scheduler(costs=TableCosts(spread=1.25))
    keep_busy(it)
    # The replica is free at 8, and has deadline - 8 for the 2 of the shortest work, or for 2.45.
    refusal = it.arrive(job("a", deadline_s=deadline_s), 0.0)
    assert (refusal is None) is promised


def test_a_deadline_that_no_tier_can_keep_is_refused_with_the_earliest_that_one_could():
    it = scheduler()
    keep_busy(it)
    refusal = it.arrive(job("a", deadline_s=9.0), 0.0)
    assert isinstance(refusal, OutOfReach)
    assert refusal.earliest_feasible_s == pytest.approx(10.0, rel=0.011)
    assert refusal.retry_after_s == pytest.approx(1.0, abs=0.11)
    assert refusal.param == "deadline_ms"
    assert "ultra" in refusal.message
    assert len(it) == 0


def test_the_earliest_deadline_leaves_the_late_what_they_can_have_by_then_and_is_promised():
    it = scheduler()
    keep_busy(it)
    it.arrive(job("late", tier_requested="ultra", deadline_s=1.0, late="accept"), 0.0)
    refusal = it.arrive(job("a", tier_requested="none", deadline_s=8.1), 60.0)
    assert refusal is not None
    earliest_s = refusal.earliest_feasible_s
    assert earliest_s is not None
    # The late one, of 2 s, is late by five times its 14 s of patience: it can have a quarter.
    assert earliest_s == pytest.approx(8.0 / (1.0 - (59.0 + 10.7) / 14.0 / LATE_TURN), rel=0.011)
    assert it.arrive(job("b", tier_requested="none", deadline_s=0.98 * earliest_s), 60.0)
    assert it.arrive(job("c", tier_requested="none", deadline_s=earliest_s), 60.0) is None


def test_the_earliest_deadline_is_that_of_the_callers_floor():
    it = scheduler()
    keep_busy(it)
    refusal = it.arrive(job("a", deadline_s=9.0, min_tier=SLOW), 0.0)
    assert refusal is not None
    assert refusal.earliest_feasible_s == pytest.approx(14.0, rel=0.011)


def test_a_caller_that_accepts_to_be_late_runs_last_instead():
    timeline = Timeline(ONE_POOL, TableCosts(), {"p": 1})
    timeline.arrive(job("first", tier_requested="none"))
    assert timeline.arrive(job("patient", deadline_s=1.0, late="accept")) is None
    for number in range(3):
        timeline.arrive(job(str(number), tier_requested="ultra", deadline_s=20.0))
    timeline.go_on(100.0)
    assert timeline.order() == ["first", "0", "1", "2", "patient"]


def test_nobody_is_refused_by_forecasts_that_were_never_measured():
    it = scheduler(costs=TableCosts(measured=False))
    keep_busy(it)
    assert it.arrive(job("a", deadline_s=0.001), 0.0) is None


def test_a_promise_is_not_given_up_for_a_target_that_is_due_earlier():
    it = scheduler()
    busy = keep_busy(it)
    it.arrive(job("promise", tier_requested="none", deadline_s=18.0), 0.0)
    it.arrive(job("target", tier_requested="medium"), 0.0)
    assert it.waiting("target").due_s < it.waiting("promise").due_s
    it.finished(busy, 8.0)
    assert id_of(it.next_dispatch(8.0)) == "promise"


def test_a_target_goes_first_where_the_promise_can_be_kept_after_it():
    it = scheduler()
    busy = keep_busy(it)
    it.arrive(job("promise", tier_requested="none", deadline_s=20.0), 0.0)
    it.arrive(job("target", tier_requested="medium"), 0.0)
    it.finished(busy, 8.0)
    assert id_of(it.next_dispatch(8.0)) == "target"


def test_priority_moves_a_job_before_one_that_came_earlier():
    it = scheduler()
    busy = keep_busy(it)
    it.arrive(job("usual", deadline_s=40.0), 0.0)
    it.arrive(job("preferred", deadline_s=60.0, priority=10), 0.0)
    it.finished(busy, 8.0)
    assert id_of(it.next_dispatch(8.0)) == "preferred"


def test_the_lowest_priority_is_still_before_one_that_is_due_much_later():
    it = scheduler()
    busy = keep_busy(it)
    it.arrive(job("unloved", deadline_s=20.0, priority=-10), 0.0)
    it.arrive(job("far", deadline_s=70.0, priority=10), 0.0)
    it.finished(busy, 8.0)
    assert id_of(it.next_dispatch(8.0)) == "unloved"


def test_jobs_that_wait_are_sent_when_the_first_replica_comes():
    it = scheduler(p=0)
    it.arrive(job("a"), 0.0)
    it.replicas_changed("p", ["p-0"], 1.0)
    assert id_of(it.next_dispatch(1.0)) == "a"


def test_a_job_put_back_has_the_place_that_it_had():
    it = scheduler()
    it.arrive(job("a", deadline_s=50.0), 0.0)
    it.arrive(job("b", deadline_s=51.0), 0.0)
    first = sent(it)
    it.finished(first, 1.0)
    it.put_back(first.waiting, 1.0)
    again = sent(it, 1.0)
    assert (id_of(again), again.waiting) == ("a", first.waiting)


def test_a_job_put_back_keeps_count_of_its_attempts():
    it = scheduler()
    it.arrive(job("a", tier_requested="none", deadline_s=20.0), 0.0)
    first = sent(it)
    it.finished(first, 1.0)
    it.put_back(dataclasses.replace(first.waiting, attempts=1), 1.0)
    assert sent(it, 13.0).waiting.attempts == 1


def test_a_job_leaves_from_wherever_it_stands_and_only_once():
    it = scheduler()
    keep_busy(it)
    it.arrive(job("can", deadline_s=90.0), 0.0)
    it.arrive(job("late", deadline_s=1.0, late="accept"), 0.0)
    for request_id in ("can", "late"):
        left = it.leave(request_id)
        assert left is not None
        assert left.job.request_id == request_id
        assert it.leave(request_id) is None
    assert len(it) == 0


def test_a_replica_that_is_gone_gets_nothing_and_its_end_changes_nothing():
    it = scheduler()
    busy = keep_busy(it)
    it.replicas_changed("p", [], 1.0)
    it.arrive(job("a"), 1.0)
    it.finished(busy, 2.0)
    assert it.next_dispatch(2.0) is None
