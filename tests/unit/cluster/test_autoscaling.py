"""When a pool gets more replicas, when fewer, and that it does not flap."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cluster.autoscaling import (
    STALE_S,
    Decision,
    Memory,
    PoolDemand,
    needed_replicas,
    wanted_replicas,
)
from cluster.pool import Autoscaling

LOAD_S = 30.0
DELAY_S = 100.0
IDLE_S = 200.0

SCALING = Autoscaling(
    min_replicas=0,
    max_replicas=8,
    target_utilisation=0.8,
    catch_up_s=60.0,
    downscale_delay_s=DELAY_S,
    idle_to_zero_s=IDLE_S,
)


def demand(
    work_per_s: float = 0.0,
    backlog_s: float = 0.0,
    waiting: int = 0,
    load_s: float = LOAD_S,
    told_s: float = 0.0,
) -> PoolDemand:
    return PoolDemand(work_per_s, backlog_s, waiting, load_s, told_s)


class Pool:
    """A pool that obeys each decision; its replicas run `LOAD_S` after they were ordered."""

    def __init__(self, scaling: Autoscaling, ordered: int = 0) -> None:
        self.scaling = scaling
        self.ready_s = [-math.inf] * ordered
        self.memory = Memory(worked_s=0.0)

    def running(self, now_s: float) -> int:
        return sum(ready_s <= now_s for ready_s in self.ready_s)

    def asked(self, told: PoolDemand | None, now_s: float) -> Decision:
        """The decision at a time, at which the router says something new."""
        told = told and replace(told, told_s=now_s)
        ordered = len(self.ready_s)
        decision = wanted_replicas(
            told, self.scaling, self.running(now_s), ordered, self.memory, now_s
        )
        self.memory = decision.memory
        self.ready_s += [now_s + LOAD_S] * (decision.replicas - ordered)
        del self.ready_s[decision.replicas :]
        return decision


def wanted(told: PoolDemand, running: int, scaling: Autoscaling = SCALING) -> int:
    return Pool(scaling, running).asked(told, 0.0).replicas


def test_replicas_are_busy_for_no_more_than_the_target_part_of_the_time() -> None:
    assert wanted(demand(work_per_s=1.7, waiting=9), running=1) == math.ceil(1.7 / 0.8)


def test_what_waits_is_worked_off_in_the_time_to_catch_up() -> None:
    told = demand(work_per_s=1.0, backlog_s=180.0, waiting=18, load_s=0.0)
    assert wanted(told, running=1) == 1 + 180 / 60


def test_what_arrives_while_a_replica_loads_is_counted() -> None:
    told = demand(work_per_s=2.0, backlog_s=60.0, waiting=9, load_s=0.0)
    assert wanted(told, running=1) == 3
    assert wanted(replace(told, load_s=120.0), running=1) == 2 + (60 + 120) / 60


def test_a_few_long_jobs_get_no_more_replicas_than_they_can_use() -> None:
    film = demand(work_per_s=50.0, backlog_s=300.0, waiting=1)
    assert wanted(film, running=0) == 1
    assert wanted(film, running=2) == 3


def test_replicas_that_load_are_not_ordered_again() -> None:
    pool = Pool(SCALING, ordered=1)
    first = pool.asked(demand(work_per_s=3.0, backlog_s=60.0, waiting=12), 0.0)
    assert first.replicas == 5
    for now_s in range(1, int(LOAD_S)):
        told = demand(work_per_s=3.0, backlog_s=60.0 + 2.0 * now_s, waiting=12 + now_s)
        assert pool.asked(told, now_s).replicas == 5, f"after {now_s} s"


def test_more_are_ordered_at_once_and_the_reason_is_told() -> None:
    decision = Pool(SCALING, ordered=1).asked(demand(work_per_s=2.0, waiting=5), 0.0)
    assert decision.replicas == 3
    assert "5 wait" in decision.reason
    assert "2.00 s arrive each second" in decision.reason


def test_fewer_are_wanted_for_a_while_before_one_goes() -> None:
    pool = Pool(SCALING, ordered=4)
    low, middle = (demand(work_per_s=load, backlog_s=1.0) for load in (0.7, 1.5))
    assert pool.asked(low, 0.0).replicas == 4
    assert pool.asked(middle, DELAY_S / 2).replicas == 4
    decision = pool.asked(low, DELAY_S)
    assert (decision.replicas, decision.reason) == (2, "2 would do, for 100.0 s now")
    assert pool.asked(low, DELAY_S + 1).replicas == 2
    assert pool.asked(low, 2 * DELAY_S + 1).replicas == 1


def test_work_that_comes_back_starts_the_wait_anew() -> None:
    pool = Pool(SCALING, ordered=2)
    low, high = (demand(work_per_s=load, backlog_s=1.0) for load in (0.5, 1.5))
    pool.asked(low, 0.0)
    pool.asked(high, DELAY_S - 1)
    assert pool.asked(low, DELAY_S).replicas == 2
    assert pool.asked(low, 2 * DELAY_S).replicas == 1


def test_the_last_replica_goes_after_a_time_without_work() -> None:
    pool = Pool(SCALING, ordered=1)
    pool.asked(demand(backlog_s=5.0), 0.0)
    assert pool.asked(demand(work_per_s=0.3), IDLE_S - 1).replicas == 1
    decision = pool.asked(demand(work_per_s=0.3), IDLE_S)
    assert (decision.replicas, decision.reason) == (0, "no work for 200 s")


def test_a_running_job_keeps_the_last_replica() -> None:
    pool = Pool(SCALING, ordered=1)
    for now_s in range(0, 1000, 10):
        assert pool.asked(demand(backlog_s=3.0), now_s).replicas == 1


def test_a_pool_that_must_have_a_replica_keeps_it() -> None:
    pool = Pool(SCALING.model_copy(update={"min_replicas": 1}), ordered=1)
    assert {pool.asked(demand(), now_s).replicas for now_s in range(0, 1000, 10)} == {1}


def test_a_request_that_waits_wakes_a_pool_and_nothing_else_does() -> None:
    pool = Pool(SCALING)
    assert pool.asked(demand(work_per_s=0.9, backlog_s=10.0), 0.0).replicas == 0
    assert pool.asked(demand(work_per_s=0.1, backlog_s=5.0, waiting=1), 1.0).replicas == 1


def test_while_the_router_is_silent_all_stays_as_it_is() -> None:
    assert Pool(SCALING, ordered=3).asked(None, 0.0).replicas == 3
    memory = Pool(SCALING, ordered=3).asked(demand(), 0.0).memory
    for now_s in (STALE_S + 1, 10 * IDLE_S):
        decision = wanted_replicas(demand(), SCALING, 3, 3, memory, now_s)
        assert (decision.replicas, decision.reason) == (3, "the router is silent")
        memory = decision.memory
    again = wanted_replicas(demand(told_s=1.0), SCALING, 3, 3, memory, 10 * IDLE_S + 1)
    assert again.replicas == 3, "silence is not idleness"


def test_the_router_may_be_wrong_about_the_time() -> None:
    pool = Pool(SCALING, ordered=1)
    told = demand(work_per_s=2.0, waiting=5, told_s=1e9)
    assert wanted_replicas(told, SCALING, 1, 1, pool.memory, 0.0).replicas == 3


def test_a_demand_survives_the_way_to_the_policy() -> None:
    told = demand(work_per_s=1.25, backlog_s=3.5, waiting=2, told_s=1e9)
    assert PoolDemand.from_json(told.to_json()) == told


def test_settings_are_checked_and_short_ones_are_enough() -> None:
    few = Autoscaling.model_validate({"min_replicas": 1, "max_replicas": 4})
    assert few.target_utilisation == 0.8
    with pytest.raises(ValidationError, match="more than"):
        Autoscaling.model_validate({"min_replicas": 2, "max_replicas": 1})
    with pytest.raises(ValidationError, match="max_replicas"):
        Autoscaling.model_validate({"min_replicas": 0, "max_replicas": 0})


SCALINGS = st.builds(
    lambda least, more, utilisation, delay_s, idle_s: Autoscaling(
        min_replicas=least,
        max_replicas=max(1, least + more),
        target_utilisation=utilisation,
        downscale_delay_s=delay_s,
        idle_to_zero_s=idle_s,
    ),
    st.integers(0, 3),
    st.integers(0, 5),
    st.floats(0.1, 1.0),
    st.floats(0.0, 50.0),
    st.floats(0.0, 50.0),
)
DEMANDS = st.builds(
    demand,
    work_per_s=st.floats(0.0, 10.0),
    backlog_s=st.floats(0.0, 500.0),
    waiting=st.integers(0, 20),
    load_s=st.floats(0.0, 100.0),
)
STEPS = st.lists(st.tuples(st.none() | DEMANDS, st.floats(0.1, 20.0)), max_size=40)


def course(pool: Pool, steps: Iterable[tuple[PoolDemand | None, float]]) -> list[tuple[float, int]]:
    """(time, replicas) of each decision."""
    now_s, decided = 0.0, []
    for told, pause_s in steps:
        now_s += pause_s
        decided.append((now_s, pool.asked(told, now_s).replicas))
    return decided


@given(SCALINGS, STEPS)
def test_there_are_never_fewer_than_the_least_nor_more_than_the_most(
    scaling: Autoscaling, steps: list[tuple[PoolDemand | None, float]]
) -> None:
    pool = Pool(scaling, ordered=scaling.min_replicas)
    for _, replicas in course(pool, steps):
        assert scaling.min_replicas <= replicas <= scaling.max_replicas


@given(SCALINGS.filter(lambda scaling: scaling.min_replicas > 0), STEPS)
def test_a_replica_that_was_ordered_stays_for_the_delay_at_least(
    scaling: Autoscaling, steps: list[tuple[PoolDemand | None, float]]
) -> None:
    decided = course(Pool(scaling, ordered=scaling.min_replicas), steps)
    last_up_s = -math.inf
    for (_, before), (now_s, after) in pairwise(decided):
        if after < before:
            assert now_s - last_up_s >= scaling.downscale_delay_s
        if after > before:
            last_up_s = now_s


@given(SCALINGS, DEMANDS, st.integers(1, 8), st.integers(1, 8))
def test_what_the_same_demand_takes_away_it_does_not_order_again(
    scaling: Autoscaling, told: PoolDemand, running: int, ordered: int
) -> None:
    ordered = max(running, ordered)
    memory = Memory(worked_s=0.0, orders=(0.0,) * (ordered - running))
    needed = needed_replicas(told, scaling, running, ordered, memory.orders, 10.0)
    if needed < ordered:
        kept = needed_replicas(told, scaling, min(running, needed), needed, memory.orders, 10.0)
        assert kept <= needed


@given(SCALINGS, STEPS, DEMANDS, st.floats(0, 5), st.floats(0, 100), st.integers(0, 5))
def test_more_demand_never_gets_fewer_replicas(
    scaling: Autoscaling,
    steps: list[tuple[PoolDemand | None, float]],
    less: PoolDemand,
    work_per_s: float,
    backlog_s: float,
    waiting: int,
) -> None:
    more = replace(
        less,
        work_per_s=less.work_per_s + work_per_s,
        backlog_s=less.backlog_s + backlog_s,
        waiting=less.waiting + waiting,
    )
    pools = [Pool(scaling, ordered=scaling.min_replicas) for _ in range(2)]
    for pool in pools:
        course(pool, steps)
    few, many = (
        pool.asked(told, 1000.0).replicas for pool, told in zip(pools, (less, more), strict=True)
    )
    assert few <= many


JOB_S = 5.0


def served(pool: Pool, loads: Iterable[float], now_s: float = 0.0) -> list[int]:
    """Replicas in each second under so many replica-seconds of work per second; jobs of 5 s."""
    counts, backlog_s = [], 0.0
    for second, load in enumerate(loads):
        backlog_s += load
        running = pool.running(now_s + second)
        under_way_s = min(backlog_s, running * JOB_S)
        waiting = math.ceil((backlog_s - under_way_s) / JOB_S)
        told = demand(work_per_s=load, backlog_s=backlog_s, waiting=waiting)
        counts.append(pool.asked(told, now_s + second).replicas)
        backlog_s = max(0.0, backlog_s - running)
    return counts


def test_a_step_of_load_is_met_within_the_time_to_load_and_worked_off_without_flapping() -> None:
    pool = Pool(SCALING)
    counts = served(pool, [3.0] * 600)
    steady = math.ceil(3.0 / 0.8)
    assert pool.running(LOAD_S + 5) >= steady
    assert counts[-1] == steady
    assert turns(counts) <= 1


def test_after_the_load_the_pool_goes_to_zero_without_coming_back() -> None:
    pool = Pool(SCALING)
    counts = served(pool, [3.0] * 300 + [0.0] * 400)
    after = counts[300:]
    assert after == sorted(after, reverse=True)
    assert counts[-1] == 0
    assert after.index(0) <= IDLE_S + 60


def test_a_load_that_comes_and_goes_faster_than_the_delay_moves_nothing() -> None:
    counts = served(Pool(SCALING, ordered=1), ([3.0] * 30 + [0.5] * 30) * 10)
    assert turns(counts[120:]) == 0
    assert len(set(counts[120:])) == 1


def turns(counts: list[int]) -> int:
    """How often the number of replicas changes from rising to falling or back."""
    signs = [math.copysign(1, b - a) for a, b in pairwise(counts) if a != b]
    return sum(a != b for a, b in pairwise(signs))
