"""The loop itself: against queueing theory, and against policies that ask for the impossible."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice
from random import Random

import pytest

from cluster.errors import DitServeError, QueueFull
from cluster.job import Job
from cluster.routing import Dispatch
from cluster.simulator.arrivals import Poisson
from cluster.simulator.central import CentralLine
from cluster.simulator.events import PolicyFault, Simulation
from cluster.simulator.fleet import equal_replicas
from cluster.simulator.orders import HopelessLast
from cluster.simulator.policies import policy_named
from cluster.simulator.table_costs import TableCosts
from cluster.simulator.tier_rules import as_asked
from cluster.simulator.traces import Arrival
from tests.unit.cluster.simulator.schedule import Asked, arrivals, kind_of

FLEET = equal_replicas(2)
COSTS = TableCosts([kind_of(1), kind_of(4)], FLEET.speeds)


def erlang_c(servers: int, offered: float) -> float:
    """The probability of waiting in M/M/c, for `offered` = arrival rate x mean service."""
    terms = [offered**number / math.factorial(number) for number in range(servers + 1)]
    last = terms[servers] * servers / (servers - offered)
    return last / (sum(terms[:servers]) + last)


def exponential_jobs(rate: float, count: int) -> Iterator[Arrival]:
    """Poisson arrivals of jobs with a mean of one second, exponentially distributed."""
    (job,) = (arrival.job for arrival in arrivals([Asked(0, 1)]))
    random = Random(11)
    for number, at_s in enumerate(islice(Poisson().times(rate, random), count)):
        yield Arrival(at_s, replace(job, request_id=str(number)), random.expovariate(1.0))


def test_one_line_waits_as_long_as_the_erlang_c_formula_says() -> None:
    servers, load, count = 4, 0.7, 100_000
    fleet = equal_replicas(servers)
    policy = policy_named("fifo", fleet.model, COSTS, Random(0))
    jobs = exponential_jobs(load * servers, count)
    waits_s = [
        outcome.started_s - outcome.arrival.at_s
        for outcome in Simulation(jobs, fleet, policy, COSTS).outcomes()
    ]
    waiting = erlang_c(servers, load * servers)
    # Waits are correlated over about 1 / (1 - load)^2 jobs: their mean of N has a relative error of
    # about 2 / (1 - load) / sqrt(N), here 2 %. The tolerances are three times that.
    assert sum(wait_s > 0 for wait_s in waits_s) / count == pytest.approx(waiting, rel=0.06)
    assert sum(waits_s) / count == pytest.approx(waiting / (servers * (1 - load)), rel=0.06)


class Wrong(CentralLine):
    """Sends what it sends twice over, or with one thing changed."""

    def __init__(self, fault: str) -> None:
        super().__init__(FLEET.model, COSTS, as_asked, HopelessLast)
        self.fault = fault
        self.sent: list[Dispatch] = []

    def next_dispatch(self, now_s: float) -> Dispatch | None:
        dispatch = super().next_dispatch(now_s)
        if self.fault == "again" and self.sent:
            return self.sent[0]
        if dispatch is None:
            return None
        if self.fault == "same replica" and self.sent:
            dispatch = replace(dispatch, replica=self.sent[0].replica)
        if self.fault == "no such replica":
            dispatch = replace(dispatch, replica="another")
        self.sent.append(dispatch)
        return dispatch


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("again", "job 0 does not wait"),
        ("same replica", "replica pool-0 of pool is busy or gone"),
        ("no such replica", "replica another of pool is busy or gone"),
    ],
)
def test_a_policy_that_asks_for_the_impossible_is_found_out(fault: str, told: str) -> None:
    asked = arrivals([Asked(0, 4), Asked(0, 4)])
    with pytest.raises(PolicyFault, match=told):
        list(Simulation(iter(asked), FLEET, Wrong(fault), COSTS).outcomes())


class Refusing(CentralLine):
    def __init__(self) -> None:
        super().__init__(FLEET.model, COSTS, as_asked, HopelessLast)

    def arrive(self, job: Job, now_s: float) -> DitServeError | None:
        return QueueFull("no more")


class Idle(CentralLine):
    def __init__(self) -> None:
        super().__init__(FLEET.model, COSTS, as_asked, HopelessLast)

    def next_dispatch(self, now_s: float) -> Dispatch | None:
        return None


def test_who_is_refused_or_never_served_ends_too_and_is_not_in_time() -> None:
    asked = arrivals([Asked(0, 1), Asked(1, 1)])
    refused = list(Simulation(iter(asked), FLEET, Refusing(), COSTS).outcomes())
    assert [(str(each.refusal), each.in_time) for each in refused] == [("no more", False)] * 2
    left = list(Simulation(iter(asked), FLEET, Idle(), COSTS).outcomes())
    assert [(each.refusal, each.dispatch, each.in_time) for each in left] == [
        (None, None, False)
    ] * 2


def test_a_trace_that_goes_back_in_time_is_refused() -> None:
    asked = arrivals([Asked(2, 1), Asked(1, 1)])
    policy = policy_named("fifo", FLEET.model, COSTS, Random(0))
    with pytest.raises(ValueError, match="request 1 comes before"):
        list(Simulation(iter(asked), FLEET, policy, COSTS).outcomes())


def test_the_work_of_a_slow_request_takes_its_multiple_and_the_policy_is_not_told() -> None:
    (asked,) = arrivals([Asked(0, 4)])
    policy = policy_named("least-work", FLEET.model, COSTS, Random(0))
    slow = replace(asked, slowness=1.5)
    (done,) = Simulation(iter([slow]), FLEET, policy, COSTS).outcomes()
    assert done.finished_s == 6
    assert done.dispatch is not None
    assert done.dispatch.forecast.p50_s == 4


class ClockWatch:
    """Sees the times that a policy is told."""

    def __init__(self) -> None:
        self.policy = policy_named("ours", FLEET.model, COSTS, Random(0))
        self.times_s: list[float] = []

    def replicas_changed(self, pool: str, running: Collection[str], now_s: float) -> None:
        self.times_s.append(now_s)
        self.policy.replicas_changed(pool, running, now_s)

    def arrive(self, job: Job, now_s: float) -> DitServeError | None:
        self.times_s.append(now_s)
        return self.policy.arrive(job, now_s)

    def next_dispatch(self, now_s: float) -> Dispatch | None:
        self.times_s.append(now_s)
        return self.policy.next_dispatch(now_s)

    def finished(self, dispatch: Dispatch, now_s: float) -> None:
        self.times_s.append(now_s)
        self.policy.finished(dispatch, now_s)


def test_time_never_goes_back_for_a_policy() -> None:
    watch = ClockWatch()
    jobs = exponential_jobs(rate=1.8, count=500)
    assert len(list(Simulation(jobs, FLEET, watch, COSTS).outcomes())) == 500
    assert watch.times_s == sorted(watch.times_s)
