"""Ranks on nodes: tensor parallelism never leaves one, Ulysses only where it must."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.layout import assign_ranks, check_ranks_per_node
from placement.parallel import Coordinates, ParallelDims, PlacementError

DIMS = st.builds(ParallelDims, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


@st.composite
def placed(draw: st.DrawFn) -> tuple[ParallelDims, list[str]]:
    """Dims, and a node for each bundle, with whole tp groups on each node, in any order."""
    dims = draw(DIMS)
    groups = dims.world_size // dims.tp_size
    names = draw(st.lists(st.sampled_from("abcd"), min_size=groups, max_size=groups))
    nodes = [name for name in names for _ in range(dims.tp_size)]
    return dims, draw(st.permutations(nodes))


def nodes_of(layout: tuple[int, ...], nodes: list[str]) -> list[str]:
    return [nodes[index] for index in layout]


@given(placed())
def test_every_rank_has_a_bundle_of_its_own(case: tuple[ParallelDims, list[str]]):
    dims, nodes = case
    assert sorted(assign_ranks(nodes, dims)) == list(range(dims.world_size))


@given(placed())
def test_a_tp_group_never_leaves_its_node(case: tuple[ParallelDims, list[str]]):
    dims, nodes = case
    by_rank = nodes_of(assign_ranks(nodes, dims), nodes)
    for rank in range(dims.world_size):
        at = dims.coordinates(rank)
        assert by_rank[rank] == by_rank[dims.rank_of(Coordinates(at.ring, at.ulysses, 0))]


@given(placed())
def test_as_many_ulysses_groups_as_the_nodes_can_hold_are_on_one_node(
    case: tuple[ParallelDims, list[str]],
):
    dims, nodes = case
    group = dims.ulysses_size * dims.tp_size
    by_rank = nodes_of(assign_ranks(nodes, dims), nodes)
    whole = sum(len(set(by_rank[i : i + group])) == 1 for i in range(0, len(by_rank), group))
    assert whole == sum(count // group for count in Counter(nodes).values())


@given(DIMS, st.permutations("abc"))
def test_ring_alone_crosses_nodes_that_hold_whole_ulysses_groups(
    dims: ParallelDims, names: list[str]
):
    dims = ParallelDims(dims.ulysses_size, 3, dims.tp_size)
    nodes = list(names) * (dims.world_size // 3)
    by_rank = nodes_of(assign_ranks(nodes, dims), nodes)
    assert by_rank == [names[dims.coordinates(r).ring] for r in range(dims.world_size)]


def test_on_one_node_the_bundles_are_in_rank_order():
    assert assign_ranks(["a"] * 8, ParallelDims(ulysses_size=8)) == tuple(range(8))


def test_the_node_with_most_bundles_comes_first_and_equals_as_they_appear():
    nodes = ["b", "c", "a", "a", "c", "b", "a"]
    assert assign_ranks(nodes, ParallelDims(ring_size=7)) == (2, 3, 6, 0, 5, 1, 4)


def test_what_is_left_on_the_nodes_is_joined_after_the_whole_groups():
    nodes = ["a"] * 6 + ["b"] * 4 + ["c"] * 2
    dims = ParallelDims(ulysses_size=4, ring_size=3)
    assert nodes_of(assign_ranks(nodes, dims), nodes) == [*"aaaa", *"bbbb", *"aacc"]


def test_a_tp_group_that_would_straddle_nodes_is_refused_in_numbers():
    nodes = ["n1", "n1", "n1", "n2"]
    with pytest.raises(PlacementError, match=r"node n1 has 3 .* tp_size 2: .*straddle"):
        assign_ranks(nodes, ParallelDims(ulysses_size=2, tp_size=2))


def test_ranks_and_bundles_must_be_as_many():
    with pytest.raises(PlacementError, match="ulysses4 has 4 ranks, but there are 3 bundles"):
        assign_ranks(["a"] * 3, ParallelDims(ulysses_size=4))


@pytest.mark.parametrize("ranks_per_node", [2, 4, 8, 16])
def test_nodes_may_hold_any_number_of_whole_tp_groups(ranks_per_node: int):
    check_ranks_per_node(ParallelDims(ring_size=4, tp_size=2), ranks_per_node)


@pytest.mark.parametrize(
    ("dims", "ranks_per_node", "says"),
    [
        (ParallelDims(ring_size=4, tp_size=2), 3, "8 ranks do not divide by ranks_per_node 3"),
        (ParallelDims(ring_size=2, tp_size=4), 2, "ranks_per_node 2 does not divide by tp_size 4"),
    ],
)
def test_nodes_that_would_split_a_group_are_refused_in_numbers(
    dims: ParallelDims, ranks_per_node: int, says: str
):
    with pytest.raises(PlacementError, match=says):
        check_ranks_per_node(dims, ranks_per_node)
