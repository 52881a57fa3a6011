"""The resources that one replica asks Ray for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from placement.parallel import PlacementError

Bundle = Mapping[str, float]
"""Amounts of Ray's resources: CPU in cores, GPU in devices."""

STRICT_PACK = "STRICT_PACK"
PACK = "PACK"


@dataclass(frozen=True)
class GroupPlan:
    """The placement group of a replica.

    Bundle 0 is the replica process's. It is the rank's too where it is the only one; else the ranks
    have the bundles after it.
    """

    bundles: tuple[Bundle, ...]
    strategy: str

    @property
    def rank_bundles(self) -> tuple[int, ...]:
        """The indices of the ranks' bundles, one per rank; `assign_ranks` says whose is whose."""
        return tuple(range(1, len(self.bundles))) or (0,)

    @property
    def totals(self) -> dict[str, float]:
        """Resources of all bundles together."""
        sums: dict[str, float] = {}
        for bundle in self.bundles:
            for resource, amount in bundle.items():
                sums[resource] = sums.get(resource, 0.0) + amount
        return sums


def plan_group(
    num_ranks: int,
    cpus_per_rank: float,
    gpus_per_rank: float,
    ranks_per_node: int | None = None,
    replica_cpus: float = 0.1,
) -> GroupPlan:
    """The placement group of a replica.

    One rank is the replica process itself, in one bundle. More ranks are processes of their own, a
    bundle each, beside a bundle of `replica_cpus` cores for the replica, which only passes calls
    on. All stay on one node, unless `ranks_per_node` is less than `num_ranks`: then Ray packs them
    on as few nodes as it can.

    Raises:
        PlacementError: a count below 1, or the ranks do not divide by `ranks_per_node`.
    """
    if num_ranks < 1:
        raise PlacementError(f"num_ranks must be at least 1, not {num_ranks}")
    if ranks_per_node is not None and ranks_per_node < 1:
        raise PlacementError(f"ranks_per_node must be at least 1, not {ranks_per_node}")
    spans_nodes = ranks_per_node is not None and ranks_per_node < num_ranks
    if ranks_per_node is not None and spans_nodes and num_ranks % ranks_per_node:
        raise PlacementError(f"{num_ranks} ranks do not divide by ranks_per_node {ranks_per_node}")
    rank: dict[str, float] = {"CPU": cpus_per_rank}
    if gpus_per_rank:
        rank["GPU"] = gpus_per_rank
    if num_ranks == 1:
        return GroupPlan((rank,), STRICT_PACK)
    replica = {"CPU": replica_cpus}
    return GroupPlan((replica, *(rank,) * num_ranks), PACK if spans_nodes else STRICT_PACK)
