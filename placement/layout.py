"""Which rank gets which bundle, once Ray has chosen the nodes.

Tensor parallelism talks in every layer and never leaves a node; Ulysses stays inside one where it
can; ring crosses nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from placement.parallel import ParallelDims, PlacementError


def check_ranks_per_node(dims: ParallelDims, ranks_per_node: int) -> None:
    """Whether nodes of so many ranks can hold whole tp groups, before any node is known.

    Raises:
        PlacementError: the ranks do not divide by it, or it does not divide by tp_size.
    """
    if ranks_per_node >= dims.world_size:
        return
    if dims.world_size % ranks_per_node:
        raise PlacementError(
            f"{dims.world_size} ranks do not divide by ranks_per_node {ranks_per_node}"
        )
    if ranks_per_node % dims.tp_size:
        raise PlacementError(
            f"ranks_per_node {ranks_per_node} does not divide by tp_size {dims.tp_size}: "
            "a tp group would straddle nodes"
        )


def assign_ranks(bundle_nodes: Sequence[str], dims: ParallelDims) -> tuple[int, ...]:
    """For each rank, an index into `bundle_nodes`: the node id of each of the ranks' bundles.

    Nodes with more bundles come first, equal ones as they first appear, and each node's bundles in
    their order. Every node takes as many whole Ulysses groups as it can hold; what is left on the
    nodes, most first, is joined to groups that straddle nodes.

    Raises:
        PlacementError: not one bundle per rank, or a tp group would have to straddle nodes.
    """
    if len(bundle_nodes) != dims.world_size:
        raise PlacementError(
            f"{dims.label} has {dims.world_size} ranks, but there are {len(bundle_nodes)} bundles"
        )
    by_node: dict[str, list[int]] = {}
    for index, node in enumerate(bundle_nodes):
        by_node.setdefault(node, []).append(index)
    for node, bundles in by_node.items():
        if len(bundles) % dims.tp_size:
            raise PlacementError(
                f"node {node} has {len(bundles)} of the ranks' bundles, which do not divide by "
                f"tp_size {dims.tp_size}: a tp group would straddle nodes"
            )
    group = dims.ulysses_size * dims.tp_size
    whole: list[int] = []
    left: list[list[int]] = []
    for bundles in sorted(by_node.values(), key=len, reverse=True):
        held = len(bundles) - len(bundles) % group
        whole += bundles[:held]
        left.append(bundles[held:])
    left.sort(key=len, reverse=True)
    return (*whole, *(index for bundles in left for index in bundles))
