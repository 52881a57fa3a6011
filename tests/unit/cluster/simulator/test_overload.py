"""More requests than can be served, for long: how long the last one waits, and what promises do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from random import Random

import pytest

from cluster.config import ModelConfig
from cluster.pool import PoolConfig
from cluster.simulator.events import Outcome, Simulation
from cluster.simulator.fleet import Fleet, FleetChange, replicas_from_start
from cluster.simulator.mixes import Kind
from cluster.simulator.policies import OURS, policy_named
from cluster.simulator.table_costs import TableCosts
from cluster.simulator.traces import Arrival, simulated_job
from cluster.tiers import Tier

MAX_QUEUED = 32
PICTURE = Kind(512, 16, 1, 0.5)
DEADLINE_PICTURES = 12
"""A line and pictures like those of `benchmarks.overload`."""

ONE_REPLICA = Fleet(
    ModelConfig(
        name="simulated", source="none", max_queued=MAX_QUEUED, pools=(PoolConfig(name="pool"),)
    ),
    {"pool": 1.0},
    (replicas_from_start("pool", 1),),
)
SEEDS = range(3)


@dataclass(frozen=True)
class Served:
    """Of all who were let in: the longest from arrival to end, and counts."""

    longest_s: float
    count: int
    in_time: int
    broken_promises: int


@cache
def served(
    load: float, seconds: float, with_deadline: float, changes: tuple[FleetChange, ...] = ()
) -> Served:
    """What becomes of pictures at random times on all seeds; a part has a promised deadline."""
    fleet = replace(ONE_REPLICA, changes=ONE_REPLICA.changes + changes)
    ended = [
        outcome
        for seed in SEEDS
        for outcome in _outcomes(load, seconds, with_deadline, fleet, seed)
    ]
    made = [(each, each.dispatch.waiting) for each in ended if each.dispatch]
    in_time = sum(each.finished_s <= waiting.due_s for each, waiting in made)
    broken = sum(each.finished_s > waiting.due_s and waiting.promised for each, waiting in made)
    longest_s = max(each.finished_s - each.arrival.at_s for each, _ in made)
    return Served(longest_s, len(made), in_time, broken)


def _outcomes(
    load: float, seconds: float, with_deadline: float, fleet: Fleet, seed: int
) -> Iterator[Outcome]:
    costs = TableCosts([PICTURE], fleet.speeds)
    policy = policy_named(OURS, fleet.model, costs, Random(seed))
    return Simulation(
        _arrivals(load, seconds, with_deadline, seed), fleet, policy, costs
    ).outcomes()


def _arrivals(load: float, seconds: float, with_deadline: float, seed: int) -> Iterator[Arrival]:
    random, at_s, number = Random(seed), 0.0, 0
    while at_s < seconds:
        at_s += random.expovariate(load / PICTURE.none_s)
        deadline_s = DEADLINE_PICTURES * PICTURE.none_s
        wish = deadline_s if random.random() < with_deadline else None
        job = simulated_job(number, PICTURE, "none", Tier.NONE, wish, "refuse", caller="")
        yield Arrival(at_s, job)
        number += 1


def test_under_five_times_the_load_nobody_waits_for_minutes() -> None:
    """With one turn of twenty, however late they were, it was 295 s, and 91 % were in time."""
    found = served(5.0, 300.0, with_deadline=0.5)
    assert found.longest_s < 90.0
    assert found.in_time > 0.7 * found.count


def test_under_five_times_the_load_without_any_deadline_nobody_waits_for_minutes() -> None:
    """With one turn of twenty, however late they were, it was 298 s."""
    assert served(5.0, 300.0, with_deadline=0.0).longest_s < 90.0


@pytest.mark.parametrize(("load", "seconds"), [(1.2, 600.0), (5.0, 300.0)])
def test_under_lasting_overload_promises_are_kept_beside_the_turns_of_the_late(
    load: float, seconds: float
) -> None:
    """Of 1,800 and 900. With one turn of twenty that looked at no promise, 14 and 8 were broken."""
    assert served(load, seconds, with_deadline=0.5).broken_promises <= 3


def test_what_waited_for_a_replica_is_done_while_as_much_comes_as_can_be_served() -> None:
    """Twenty seconds without one. It was 144 s, with 15 of 1,000 promises broken."""
    away = (FleetChange(30.0, "pool", ()), FleetChange(50.0, "pool", ("another",)))
    found = served(1.0, 600.0, with_deadline=0.3, changes=away)
    assert found.longest_s < 100.0
    assert found.broken_promises <= 5
