"""Small runs by hand: jobs of so many seconds, and when each ended under a policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from cluster.simulator.events import Outcome, Simulation
from cluster.simulator.fleet import Fleet, equal_replicas
from cluster.simulator.mixes import Kind
from cluster.simulator.policies import policy_named
from cluster.simulator.table_costs import TableCosts
from cluster.simulator.traces import Arrival, simulated_job
from cluster.tiers import Tier


@dataclass(frozen=True)
class Asked:
    """A request for `seconds` of work at `none`."""

    at_s: float
    seconds: int
    deadline_s: float | None = None
    tier: str = "none"
    floor: Tier | None = None


def kind_of(seconds: int) -> Kind:
    return Kind(16 * seconds, 16, 1, float(seconds))


def arrivals(asked: Sequence[Asked]) -> list[Arrival]:
    return [
        Arrival(
            each.at_s,
            simulated_job(
                number,
                kind_of(each.seconds),
                each.tier,
                each.floor,
                each.deadline_s,
                late="accept",
                caller="",
            ),
        )
        for number, each in enumerate(asked)
    ]


def simulation_of(policy: str, asked: Sequence[Asked], fleet: Fleet) -> Simulation:
    kinds = [kind_of(seconds) for seconds in sorted({each.seconds for each in asked})]
    costs = TableCosts(kinds, fleet.speeds)
    chosen = policy_named(policy, fleet.model, costs, Random(0))
    return Simulation(iter(arrivals(asked)), fleet, chosen, costs)


def outcomes(policy: str, asked: Sequence[Asked], replicas: int) -> list[Outcome]:
    """By the number of the request."""
    ends = simulation_of(policy, asked, equal_replicas(replicas)).outcomes()
    return sorted(ends, key=lambda outcome: int(outcome.arrival.job.request_id))


def ends_s(policy: str, asked: Sequence[Asked], replicas: int) -> list[float]:
    """When each request ended, in the order in which they came."""
    return [outcome.finished_s for outcome in outcomes(policy, asked, replicas)]


def tiers(policy: str, asked: Sequence[Asked], replicas: int) -> list[str]:
    """The tier that each request got."""
    return [
        str(outcome.dispatch and outcome.dispatch.tier)
        for outcome in outcomes(policy, asked, replicas)
    ]
