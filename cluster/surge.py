"""Which deployments may start a new replica before an old one stops, when a config is replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from placement.capacity import Demand, fits


def surging(
    missing: Sequence[Demand], running: Sequence[Demand], free: Sequence[Mapping[str, float]]
) -> frozenset[str]:
    """The names of those that run for which one replica more has room, all of them at once.

    `free` are the nodes' free resources. What is `missing` comes first: it has nothing to stop. The
    others are granted in their order, each only beside all that were granted before: replicas that
    wait for each other's room would wait for ever, as Serve stops no old one meanwhile.
    """
    taken = list(missing)
    if not fits(taken, free).ok:
        return frozenset()
    granted = set()
    for demand in running:
        one_more = replace(demand, replicas=1)
        if fits([*taken, one_more], free).ok:
            taken.append(one_more)
            granted.add(demand.name)
    return frozenset(granted)
