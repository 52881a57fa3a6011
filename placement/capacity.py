"""Whether replicas fit on nodes, and what is missing, in numbers.

Amounts are compared in ten-thousandths, as Ray counts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from placement.bundles import STRICT_PACK, GroupPlan

_UNITS = 10_000

Amounts = Counter[str]


@dataclass(frozen=True)
class Demand:
    """So many replicas, each in such a group; the name stands in messages ("flux/h100")."""

    name: str
    group: GroupPlan
    replicas: int


@dataclass(frozen=True)
class Fit:
    """Whether all was placed; if not, one sentence of what is missing."""

    ok: bool
    shortfall: str = ""


def fits(demands: Sequence[Demand], nodes: Sequence[Mapping[str, float]]) -> Fit:
    """Whether all replicas fit on nodes that have these free resources.

    First-fit decreasing: groups that need one node before those that may span, the larger first,
    each on the first node with room; a spanning group takes the node that holds most of its
    bundles, then the next. A fit that is found is one. Where unequal groups leave gaps, another
    order might have found one that this does not; Ray, which places replicas as they come, finds no
    more.
    """
    wanted = [demand for demand in demands if demand.replicas > 0]
    free = [_amounts(node) for node in nodes]
    shortfall = _too_large_for_any_node(wanted, free) or _too_much_in_all(wanted, free)
    return Fit(False, shortfall) if shortfall else _placed(wanted, free)


def _placed(demands: Sequence[Demand], free: list[Amounts]) -> Fit:
    for demand in sorted(demands, key=lambda demand: _order(demand.group)):
        for done in range(demand.replicas):
            if not _place(demand.group, free):
                return Fit(False, _no_room(demand, done, free))
    return Fit(True)


def _order(group: GroupPlan) -> tuple[bool, float, float]:
    totals = group.totals
    return group.strategy != STRICT_PACK, -totals.get("GPU", 0.0), -totals.get("CPU", 0.0)


def _place(group: GroupPlan, free: list[Amounts]) -> bool:
    """Takes the group's resources from the nodes; False, and nothing taken, when they have not."""
    bundles = [_amounts(bundle) for bundle in group.bundles]
    if group.strategy == STRICT_PACK:
        bundles = [sum(bundles, Amounts())]
    trial = [Amounts(node) for node in free]
    while bundles:
        held = [_held(bundles, node) for node in trial]
        best = max(range(len(trial)), key=lambda index: len(held[index]), default=None)
        if best is None or not held[best]:
            return False
        for index in held[best]:
            trial[best].subtract(bundles[index])
        bundles = [bundle for index, bundle in enumerate(bundles) if index not in held[best]]
    free[:] = trial
    return True


def _held(bundles: Sequence[Amounts], node: Amounts) -> list[int]:
    """The indices of the bundles that a node can hold, taken in their order."""
    room = Amounts(node)
    held = []
    for index, bundle in enumerate(bundles):
        if bundle <= room:
            room.subtract(bundle)
            held.append(index)
    return held


def _pieces(group: GroupPlan) -> list[Amounts]:
    """What must stay on one node: the whole group, or each bundle of one that may span."""
    bundles = [_amounts(bundle) for bundle in group.bundles]
    return [sum(bundles, Amounts())] if group.strategy == STRICT_PACK else bundles


def _too_large_for_any_node(demands: Sequence[Demand], nodes: Sequence[Amounts]) -> str:
    for demand in demands:
        for piece in _pieces(demand.group):
            if any(piece <= node for node in nodes):
                continue
            for resource, amount in _scarcest_first(piece):
                largest = max((node[resource] for node in nodes), default=0)
                if amount > largest:
                    return (
                        f"{_told(amount, resource)} on one node are asked for by {demand.name}; "
                        f"the largest node has {_number(largest)}"
                    )
            together = " and ".join(_told(n, resource) for resource, n in _scarcest_first(piece))
            return f"{together} on one node are asked for by {demand.name}; no node has them all"
    return ""


def _too_much_in_all(demands: Sequence[Demand], nodes: Sequence[Amounts]) -> str:
    needed = Amounts()
    for demand in demands:
        for piece in _pieces(demand.group):
            needed.update({name: amount * demand.replicas for name, amount in piece.items()})
    there = sum(nodes, Amounts())
    for resource, amount in _scarcest_first(needed):
        if amount > there[resource]:
            return f"needs {_told(amount, resource)} in all, {_number(there[resource])} are there"
    return ""


def _no_room(demand: Demand, done: int, free: Sequence[Amounts]) -> str:
    strict = demand.group.strategy == STRICT_PACK
    total = _amounts(demand.group.totals)
    asked = " and ".join(_told(amount, resource) for resource, amount in _scarcest_first(total))
    rest = ", ".join(
        f"{_number(node['GPU'])} GPU and {_number(node['CPU'])} CPU"
        if total["GPU"]
        else f"{_number(node['CPU'])} CPU"
        for node in free
    )
    return (
        f"{demand.name} has room for {done} of {demand.replicas} replicas; the next asks for "
        f"{asked}{' on one node' if strict else ''}, and the nodes have left: {rest}"
    )


def _scarcest_first(amounts: Amounts) -> Iterable[tuple[str, int]]:
    """GPUs before the rest, which is in the order of the alphabet."""
    named = [(name, amount) for name, amount in amounts.items() if amount]
    return sorted(named, key=lambda item: (item[0] != "GPU", item[0]))


def _amounts(resources: Mapping[str, float]) -> Amounts:
    return Amounts({name: round(amount * _UNITS) for name, amount in resources.items()})


def _told(amount: int, resource: str) -> str:
    return f"{_number(amount)} {resource}"


def _number(amount: int) -> str:
    return f"{amount / _UNITS:g}"
