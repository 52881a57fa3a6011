"""Runs a policy on a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

from cluster.config import ModelConfig
from cluster.errors import ConfigError
from cluster.simulator.events import Outcome, Simulation
from cluster.simulator.fleet import Fleet
from cluster.simulator.policies import policy_named
from cluster.simulator.results import RunResult, Tally
from cluster.simulator.table_costs import TableCosts
from cluster.simulator.traces import Trace
from cluster.tiers import acceptable_tiers

_BATCH = 1000


def run_policy(
    label: str,
    trace: Trace,
    fleet: Fleet,
    policy: str,
    seed: int,
    progress: Callable[[int], None] = lambda requests: None,
) -> RunResult:
    """The numbers of one policy on the trace of one seed.

    `progress` is told from time to time how many more requests ended. Forecasts are the true
    medians. The same arguments give the same result.

    Raises:
        ConfigError: there is no such policy, or the model serves nothing that some request accepts.
    """
    _check_wishes(label, trace, fleet.model)
    costs = TableCosts(trace.kinds, fleet.speeds, trace.noise)
    chosen = policy_named(policy, fleet.model, costs, Random(f"{seed} policy"))
    simulation = Simulation(trace.arrivals(seed), fleet, chosen, costs)
    tally = Tally()
    for outcomes in _batches(simulation.outcomes()):
        for outcome in outcomes:
            tally.add(outcome)
        progress(len(outcomes))
    return tally.result(label, policy, seed, simulation.replica_s)


def _batches(outcomes: Iterator[Outcome]) -> Iterator[list[Outcome]]:
    while batch := list(islice(outcomes, _BATCH)):
        yield batch


def _check_wishes(label: str, trace: Trace, model: ModelConfig) -> None:
    for tier, floor in trace.wishes:
        if not acceptable_tiers(tier, floor, model.default_tier, model.tiers, in_time=True):
            asked = tier if floor is None else f"{tier} with the floor {floor}"
            raise ConfigError(
                f"trace {label}: asks for {asked}; {model.name} serves {', '.join(model.tiers)}"
            )
