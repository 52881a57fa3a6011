"""What each policy makes of a few jobs, by hand, to the second."""

from __future__ import annotations

import math
from random import Random

import pytest

from cluster.cost import Forecast
from cluster.simulator.fleet import Fleet, FleetChange, equal_replicas
from cluster.simulator.joined import Station, at_random, least_work, power_of_two, round_robin
from cluster.simulator.menus import Menus
from cluster.simulator.policies import JOINS, ORDERS
from cluster.simulator.table_costs import TableCosts
from cluster.simulator.tier_rules import Choice
from cluster.tiers import Tier
from tests.unit.cluster.simulator.schedule import (
    Asked,
    arrivals,
    ends_s,
    kind_of,
    outcomes,
    simulation_of,
)

LONG_AND_SHORT = [Asked(0, 4), Asked(0, 1), Asked(0, 1), Asked(0, 1)]


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        # 0 and 2 on one replica, 1 and 3 on the other.
        ("round-robin", [4, 1, 5, 2]),
        # All the short ones pass the long one by.
        ("fifo", [4, 1, 2, 3]),
        ("least-work", [4, 1, 2, 3]),
        ("edf", [4, 1, 2, 3]),
        ("edf-hopeless-last", [4, 1, 2, 3]),
    ],
)
def test_four_jobs_on_two_replicas(policy: str, ends: list[float]) -> None:
    assert ends_s(policy, LONG_AND_SHORT, replicas=2) == ends


@pytest.mark.parametrize("policy", [*JOINS, *ORDERS, "ours"])
def test_jobs_that_ask_alike_are_served_in_turn_by_a_single_replica(policy: str) -> None:
    asked = [Asked(0, 2), Asked(1, 2), Asked(1.5, 2), Asked(9, 2)]
    assert ends_s(policy, asked, replicas=1) == [2, 4, 6, 11]


DEADLINES = [
    Asked(0, 2, deadline_s=100),
    Asked(0.5, 4, deadline_s=4),  # cannot make it once the first is done: 2 + 4 > 4.5
    Asked(0.5, 3, deadline_s=10),
    Asked(0.5, 1, deadline_s=5),
]


@pytest.mark.parametrize(
    ("policy", "ends", "in_time"),
    [
        ("fifo", [2, 6, 9, 10], [True, False, True, False]),
        # The hopeless one is due first, and takes the one behind it along.
        ("edf", [2, 6, 10, 7], [True, False, True, False]),
        ("edf-hopeless-last", [2, 10, 6, 3], [True, False, True, True]),
        ("ours", [2, 10, 6, 3], [True, False, True, True]),
    ],
)
def test_deadlines_on_one_replica(policy: str, ends: list[float], in_time: list[bool]) -> None:
    done = outcomes(policy, DEADLINES, replicas=1)
    assert [outcome.finished_s for outcome in done] == ends
    assert [outcome.in_time for outcome in done] == in_time


def test_of_the_hopeless_the_shortest_work_comes_first() -> None:
    asked = [Asked(0, 5, deadline_s=9)] + [Asked(1, seconds, deadline_s=1) for seconds in (3, 1, 2)]
    assert ends_s("edf-hopeless-last", asked, replicas=1) == [5, 11, 6, 8]


def test_a_deadline_met_to_the_second_is_met_and_a_job_without_one_is_in_time() -> None:
    asked = [Asked(1, 3, deadline_s=3), Asked(1, 3, deadline_s=5.5), Asked(1, 3)]
    done = outcomes("fifo", asked, replicas=1)
    assert [outcome.in_time for outcome in done] == [True, False, True]


def test_everybody_waits_for_the_first_replica_and_is_served_when_it_comes() -> None:
    pool = equal_replicas(1).model.pools[0].name
    fleet = Fleet(equal_replicas(1).model, {pool: 1.0}, (FleetChange(5.0, pool, ("late",)),))
    for policy in (*JOINS, *ORDERS, "ours"):
        done = list(simulation_of(policy, [Asked(0, 1), Asked(1, 1)], fleet).outcomes())
        assert sorted(outcome.finished_s for outcome in done) == [6, 7], policy


def test_a_replica_that_ends_finishes_its_job_and_the_others_take_those_that_wait_for_it() -> None:
    model = equal_replicas(2).model
    pool = model.pools[0].name
    changes = (FleetChange(0.0, pool, ("a", "b")), FleetChange(1.0, pool, ("b",)))
    fleet = Fleet(model, {pool: 1.0}, changes)
    asked = [Asked(0, 4), Asked(0, 4), Asked(0.5, 1), Asked(0.5, 1)]
    for policy in (*JOINS, *ORDERS, "ours"):
        simulation = simulation_of(policy, asked, fleet)
        done = list(simulation.outcomes())
        later = [outcome.dispatch for outcome in done if outcome.started_s > 1]
        assert {dispatch.replica for dispatch in later if dispatch} == {"b"}, policy
        assert sum(outcome.finished_s - outcome.started_s for outcome in done) == 10, policy
        assert simulation.replica_s >= 10, policy


def station(works_s: list[float]) -> Station:
    """A replica at 0 s that runs the first of some jobs, while the others wait for it."""
    made = Station("pool", "replica")
    (arrival,) = arrivals([Asked(0, 1)])
    menus = Menus(equal_replicas(1).model, TableCosts([kind_of(1)], {"pool": 1.0}))
    for work_s in works_s:
        forecast = Forecast(work_s, work_s, measured=True)
        made.join(menus.waiting(arrival.job, 0.0), Choice(Tier.NONE, forecast))
    if works_s:
        made.begin(0.0)
    return made


def test_two_choices_go_by_the_number_of_jobs_and_least_work_by_their_seconds() -> None:
    one_long, three_short = station([20.0]), station([1.0, 1.0, 1.0])
    for stations in ([one_long, three_short], [three_short, one_long]):
        assert power_of_two(Random(1))(stations, 0.5) is one_long
        assert least_work(Random(1))(stations, 0.5) is three_short
    assert three_short.work_left_s(0.5) == 2.5


def test_two_choices_take_the_longest_line_only_when_they_do_not_see_another() -> None:
    lines = [station([1.0] * ongoing) for ongoing in (1, 2, 3)]
    join = power_of_two(Random(1))
    joined = [join(lines, 0.0).ongoing for _ in range(3000)]
    # Of three pairs, two have the shortest line, and none has the longest as its better half.
    assert joined.count(1) / 3000 == pytest.approx(2 / 3, abs=4 * math.sqrt(2 / 9 / 3000))
    assert 3 not in joined


def test_random_takes_all_alike_and_round_robin_one_after_the_other() -> None:
    stations = [station([]) for _ in range(3)]
    turns, lots = round_robin(Random(1)), at_random(Random(1))
    assert [stations.index(turns(stations, 0.0)) for _ in range(4)] == [0, 1, 2, 0]
    drawn = [stations.index(lots(stations, 0.0)) for _ in range(3000)]
    for index in range(3):
        assert drawn.count(index) / 3000 == pytest.approx(1 / 3, abs=4 * math.sqrt(2 / 9 / 3000))
