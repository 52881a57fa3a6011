"""The policies by name: `ours`, or an order with a rule for tiers, such as `power-of-two+fast`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random

from cluster.config import ModelConfig
from cluster.cost import Costs
from cluster.errors import ConfigError
from cluster.scheduler import Scheduler
from cluster.sections import shown
from cluster.simulator.central import CentralLine
from cluster.simulator.joined import (
    Join,
    JoinedLines,
    at_random,
    least_work,
    power_of_two,
    round_robin,
)
from cluster.simulator.orders import HopelessLast, Order, Sorted, by_arrival, by_deadline
from cluster.simulator.policy import Policy
from cluster.simulator.tier_rules import RULES

OURS = "ours"

JOINS: Mapping[str, Callable[[Random], Join]] = {
    "random": at_random,
    "round-robin": round_robin,
    "power-of-two": power_of_two,
    "least-work": least_work,
}

ORDERS: Mapping[str, Callable[[], Order]] = {
    "fifo": partial(Sorted, by_arrival),
    "edf": partial(Sorted, by_deadline),
    "edf-hopeless-last": HopelessLast,
}

SPELLING = (
    f"{OURS}, or ORDER+RULE. Orders: {', '.join(JOINS)} (a line per replica), "
    f"{', '.join(ORDERS)} (one line). Rules for the tier: {', '.join(RULES)}; "
    "asked if none is given"
)


def check_policy_name(name: str) -> None:
    """Raises ConfigError, which lists the names, where there is no such policy."""
    order, _, rule = name.partition("+")
    ordered = order in JOINS or order in ORDERS
    if name != OURS and not (ordered and (rule in RULES or name == order)):
        raise ConfigError(f"policy {shown(name)}: no such policy; a policy is {SPELLING}")


def policy_named(name: str, model: ModelConfig, costs: Costs, random: Random) -> Policy:
    """A new policy of that name for a model; `random` is for those that draw lots.

    Raises:
        ConfigError: there is no such policy.
    """
    check_policy_name(name)
    if name == OURS:
        return Scheduler(model, costs)
    order, _, rule = name.partition("+")
    tier_rule = RULES[rule or "asked"]
    if order in ORDERS:
        return CentralLine(model, costs, tier_rule, ORDERS[order])
    return JoinedLines(model, costs, tier_rule, JOINS[order](random))
