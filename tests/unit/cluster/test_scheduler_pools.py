"""Pools of unequal shape, pools without replicas, and the bounds of the line."""

from __future__ import annotations

import pytest

from cluster.errors import OutOfReach, QueueFull
from tests.unit.cluster.by_hand import id_of, keep_busy, scheduler, sent
from tests.unit.cluster.jobs import job
from tests.unit.cluster.pools import MEDIUM, NONE, ULTRA, TableCosts, model_of, pool

UNEQUAL = model_of(pool("one"), pool("eight", ranks=8))


def test_a_promise_on_one_pool_is_not_given_up_for_a_job_that_another_free_pool_would_take():
    model = model_of(pool("open", [ULTRA]), pool("quick", [NONE, ULTRA]), default_tier="ultra")
    it = scheduler(model, TableCosts({"quick": 2.0}, spread=1.1), quick=1, open=1)
    busy = keep_busy(it)
    assert busy.pool == "quick"
    it.arrive(job("promise", tier_requested="none", deadline_s=8.5), 0.0)
    it.finished(busy, 4.0)
    it.arrive(job("target", tier_requested="ultra", deadline_s=2.2, late="accept"), 4.0)
    there = {dispatch.pool: id_of(dispatch) for dispatch in (sent(it, 4.0), sent(it, 4.0))}
    assert there == {"open": "target", "quick": "promise"}


def test_the_pool_that_finishes_sooner_is_taken_though_it_has_eight_ranks():
    it = scheduler(UNEQUAL, TableCosts({"eight": 5.0}), one=1, eight=1)
    it.arrive(job("a", tier_requested="none"), 0.0)
    assert sent(it).pool == "eight"


@pytest.mark.parametrize(("speed", "taken"), [(1.04, "one"), (1.06, "eight")])
def test_the_cheaper_pool_is_taken_where_finishes_are_within_a_twentieth(speed: float, taken: str):
    it = scheduler(UNEQUAL, TableCosts({"eight": speed}), one=1, eight=1)
    it.arrive(job("a", tier_requested="none"), 0.0)
    assert sent(it).pool == taken


def test_a_job_waits_for_the_pool_that_serves_its_tier_and_holds_nobody_up():
    model = model_of(pool("best", [NONE]), pool("quick", [MEDIUM, ULTRA]))
    it = scheduler(model, best=0, quick=1)
    it.arrive(job("a", tier_requested="none"), 0.0)
    assert it.next_dispatch(0.0) is None
    it.arrive(job("b", tier_requested="ultra"), 0.0)
    assert id_of(it.next_dispatch(0.0)) == "b"


def test_a_job_that_is_late_on_a_slow_pool_waits_for_the_busy_fast_one_while_it_can_make_it():
    it = scheduler(UNEQUAL, TableCosts({"eight": 8.0}), one=1, eight=1)
    busy = keep_busy(it)
    it.arrive(job("a", tier_requested="none", deadline_s=2.5), 0.0)
    assert it.next_dispatch(0.0) is None
    it.finished(busy, 1.0)
    assert sent(it, 1.0).pool == "eight"


def test_a_job_that_can_make_it_nowhere_takes_the_slow_pool():
    it = scheduler(UNEQUAL, TableCosts({"eight": 8.0}), one=1, eight=1)
    keep_busy(it)
    it.arrive(job("a", tier_requested="none", deadline_s=2.5, late="accept"), 0.0)
    assert sent(it, 1.6).pool == "one"


def test_a_pool_without_replicas_can_promise_what_comes_after_the_time_to_load_one():
    it = scheduler(model_of(pool("p", load_s=60.0)), p=0)
    refusal = it.arrive(job("a", deadline_s=61.0), 0.0)
    assert isinstance(refusal, OutOfReach)
    assert refusal.earliest_feasible_s == pytest.approx(62.0, rel=0.011)
    assert it.arrive(job("b", deadline_s=63.0), 0.0) is None


def test_the_time_to_load_is_the_measured_one_once_there_is_one():
    it = scheduler(model_of(pool("p", load_s=60.0)), p=0)
    it.loads_in("p", 5.0)
    assert it.arrive(job("a", deadline_s=8.0), 0.0) is None


def test_promises_that_wait_for_the_first_replica_are_counted_against_those_that_follow():
    it = scheduler(model_of(pool("p", load_s=60.0)), p=0)
    it.arrive(job("first", deadline_s=70.0), 0.0)
    taken = [it.arrive(job(str(number), deadline_s=20.0), 50.0) is None for number in range(9)]
    assert taken == [True] * 4 + [False] * 5


def test_a_load_that_nobody_waited_for_any_more_is_not_counted_on():
    it = scheduler(model_of(pool("p", load_s=60.0)), p=0)
    it.arrive(job("gone"), 0.0)
    it.leave("gone")
    assert isinstance(it.arrive(job("a", deadline_s=30.0), 50.0), OutOfReach)


def test_a_pool_that_sleeps_is_left_asleep_by_a_job_that_one_that_runs_would_take():
    it = scheduler(model_of(pool("warm"), pool("cold", ranks=8)), TableCosts({"cold": 8.0}), warm=1)
    for name in ("a", "b"):
        assert (
            it.arrive(job(name, deadline_s=3.0, late="accept", tier_requested="none"), 0.0) is None
        )
    assert sent(it).pool == "warm"
    assert it.demand("cold", 0.0, 0.0).backlog_s == 0.0


def test_a_job_that_may_go_to_two_pools_counts_for_each_in_proportion_to_its_speed():
    it = scheduler(UNEQUAL, TableCosts({"eight": 3.0}), one=1, eight=1)
    it.arrive(job("a", tier_requested="none"), 0.0)
    backlogs_s = {name: it.pool_load(name, 0.0).backlog_s for name in ("one", "eight")}
    assert backlogs_s == {"one": pytest.approx(2.0), "eight": pytest.approx(2.0)}


def test_the_load_of_a_pool_is_what_runs_and_what_waits_for_each_replica():
    it = scheduler(p=2)
    keep_busy(it)
    it.arrive(job("a", tier_requested="none"), 0.0)
    load = it.pool_load("p", 2.0)
    assert (load.idle, load.busy, load.backlog_s) == (1, 1, (6.0 + 8.0) / 2)


def test_the_demand_of_a_pool_is_its_rate_of_work_and_all_that_it_has_to_do():
    it = scheduler(model_of(pool("p", load_s=45.0)))
    keep_busy(it)
    it.arrive(job("a", tier_requested="none"), 0.0)
    demand = it.demand("p", 2.0, told_s=1_000.0)
    assert (demand.waiting, demand.backlog_s, demand.load_s) == (1, 14.0, 45.0)
    assert (demand.work_per_s, demand.told_s) == (16.0 / 60.0, 1_000.0)


def test_a_full_line_refuses_at_once():
    it = scheduler(model_of(pool("p"), max_queued=2))
    keep_busy(it)
    it.arrive(job("a"), 0.0)
    it.arrive(job("b"), 0.0)
    refusal = it.arrive(job("c"), 0.0)
    assert isinstance(refusal, QueueFull)
    assert refusal.retry_after_s == 8.0
    assert "2 is its limit" in refusal.message


def test_more_forecast_work_than_the_bound_is_refused():
    it = scheduler(model_of(pool("p"), max_backlog_s=20.0))
    keep_busy(it)
    taken = [it.arrive(job(str(number), tier_requested="none"), 0.0) for number in range(4)]
    assert [each is None for each in taken] == [True, True, False, False]
    assert isinstance(taken[-1], QueueFull)


def test_the_bound_on_work_holds_beside_a_pool_of_which_no_replica_runs():
    it = scheduler(model_of(pool("p"), pool("cold"), max_backlog_s=20.0), p=1, cold=0)
    keep_busy(it)
    taken = [it.arrive(job(str(number), tier_requested="none"), 0.0) for number in range(4)]
    assert [each is None for each in taken] == [True, True, False, False]


def test_a_job_that_a_router_had_taken_before_it_died_is_taken_again():
    it = scheduler(model_of(pool("p"), max_queued=1), p=1)
    keep_busy(it)
    assert it.arrive(job("a"), 0.0) is None
    assert it.arrive(job("b", deadline_s=1.0, attempt=2), 0.0) is None
    assert it.arrive(job("c", attempt=2), 0.0) is None


def test_a_job_that_can_begin_at_once_is_taken_though_the_line_is_full():
    model = model_of(
        pool("best", [NONE]), pool("quick", [ULTRA]), default_tier="ultra", max_queued=1
    )
    it = scheduler(model, best=1, quick=1)
    keep_busy(it)
    assert it.arrive(job("waits", tier_requested="none"), 0.0) is None
    assert isinstance(it.arrive(job("no", tier_requested="none"), 0.0), QueueFull)
    assert it.arrive(job("yes", tier_requested="ultra"), 0.0) is None


def test_a_job_that_was_late_for_want_of_a_replica_is_in_time_again_when_one_comes_early():
    it = scheduler(model_of(pool("p", load_s=60.0)), p=0)
    it.arrive(job("first"), 0.0)
    it.arrive(job("second", deadline_s=99.0, late="accept"), 0.0)
    it.replicas_changed("p", ["p-0"], 1.0)
    assert id_of(it.next_dispatch(1.0)) == "first"
