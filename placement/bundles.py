"""The resources that one replica asks Ray for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Bundle = Mapping[str, float]


@dataclass(frozen=True)
class GroupPlan:
    """A placement group: bundle k belongs to rank k.

    The replica process shares bundle 0 with rank 0.
    """

    bundles: tuple[Bundle, ...]
    strategy: str

    @property
    def totals(self) -> dict[str, float]:
        """Resources of all bundles together."""
        sums: dict[str, float] = {}
        for bundle in self.bundles:
            for resource, amount in bundle.items():
                sums[resource] = sums.get(resource, 0.0) + amount
        return sums


def plan_group(num_ranks: int, cpus_per_rank: float, gpus_per_rank: float) -> GroupPlan:
    """The placement group of a replica whose ranks stay on one node."""
    rank: dict[str, float] = {"CPU": cpus_per_rank}
    if gpus_per_rank:
        rank["GPU"] = gpus_per_rank
    return GroupPlan((rank,) * num_ranks, "STRICT_PACK")
