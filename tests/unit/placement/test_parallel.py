"""The parallel dimensions of a replica: what fits its ranks, and what is refused in numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.parallel import (
    Coordinates,
    ParallelDims,
    PlacementError,
    check_heads,
    check_sequence,
    resolve_dims,
)

NAMES = ("ulysses_size", "ring_size", "tp_size")
SIZES = st.fixed_dictionaries({name: st.integers(1, 16) for name in NAMES})


def resolve(num_ranks: int, **sizes: int | str) -> ParallelDims:
    return resolve_dims(num_ranks, *(sizes.get(name) for name in NAMES))


def test_the_world_has_as_many_ranks_as_the_sizes_multiply_to():
    assert ParallelDims(ulysses_size=2, ring_size=3, tp_size=4).world_size == 24


def test_without_sizes_one_rank_does_everything():
    assert ParallelDims().world_size == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0, -1])
def test_a_size_below_one_is_refused_by_name(name: str, size: int):
    with pytest.raises(PlacementError, match=f"{name}.*{size}"):
        ParallelDims(**{name: size})


@pytest.mark.parametrize(
    ("sizes", "label"),
    [
        ({}, "single"),
        ({"ulysses_size": 2}, "ulysses2"),
        ({"ring_size": 4}, "ring4"),
        ({"tp_size": 8}, "tp8"),
        ({"ulysses_size": 2, "tp_size": 4}, "ulysses2+tp4"),
        ({"ulysses_size": 2, "ring_size": 2, "tp_size": 2}, "ulysses2+ring2+tp2"),
    ],
)
def test_a_shape_has_a_short_name_for_receipts(sizes: dict[str, int], label: str):
    assert ParallelDims(**sizes).label == label


@given(SIZES)
def test_different_shapes_have_different_names(sizes: dict[str, int]):
    dims = ParallelDims(**sizes)
    swapped = ParallelDims(dims.tp_size, dims.ulysses_size, dims.ring_size)
    assert (dims.label == swapped.label) == (dims == swapped)


def test_sizes_left_out_are_one():
    assert resolve(1) == ParallelDims()
    assert resolve(4, ring_size=4) == ParallelDims(ring_size=4)


@given(SIZES, st.sampled_from(NAMES))
def test_auto_takes_the_ranks_that_the_other_sizes_leave(sizes: dict[str, int], automatic: str):
    dims = ParallelDims(**sizes)
    assert resolve(dims.world_size, **(sizes | {automatic: "auto"})) == dims


def test_two_autos_are_refused_and_both_are_named():
    with pytest.raises(PlacementError, match=r"only one.*ulysses_size and tp_size"):
        resolve(8, ulysses_size="auto", tp_size="auto")


def test_auto_is_refused_where_the_ranks_do_not_divide():
    with pytest.raises(PlacementError, match=r"ring_size.*\b6 ranks.*\b4\b"):
        resolve(6, ring_size="auto", tp_size=4)


@pytest.mark.parametrize(("num_ranks", "size"), [(1, 2), (8, 2), (2, 8)])
def test_sizes_that_do_not_multiply_to_the_ranks_are_refused_with_both_numbers(
    num_ranks: int, size: int
):
    with pytest.raises(PlacementError, match=rf"ulysses.* {size}\b.*num_ranks is {num_ranks}"):
        resolve(num_ranks, ulysses_size=size)


@pytest.mark.parametrize("name", NAMES)
def test_a_negative_size_is_refused(name: str):
    with pytest.raises(PlacementError, match=f"{name} must be at least 1"):
        resolve(4, **{name: -4})


DIMS = st.builds(ParallelDims, st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))


@given(DIMS)
def test_every_rank_has_a_place_of_its_own_and_every_place_a_rank(dims: ParallelDims):
    places = [dims.coordinates(rank) for rank in range(dims.world_size)]
    assert [dims.rank_of(at) for at in places] == list(range(dims.world_size))
    assert set(places) == {
        Coordinates(ring, ulysses, tp)
        for ring in range(dims.ring_size)
        for ulysses in range(dims.ulysses_size)
        for tp in range(dims.tp_size)
    }


@given(DIMS)
def test_the_ranks_are_in_the_row_major_order_of_ring_ulysses_tp(dims: ParallelDims):
    places = [dims.coordinates(rank) for rank in range(dims.world_size)]
    assert places == sorted(places)


@given(DIMS, st.data())
def test_tp_neighbours_are_adjacent_ranks(dims: ParallelDims, data: st.DataObject):
    rank = data.draw(st.integers(0, dims.world_size - 1))
    at = dims.coordinates(rank)
    if at.tp + 1 < dims.tp_size:
        assert dims.rank_of(Coordinates(at.ring, at.ulysses, at.tp + 1)) == rank + 1


@pytest.mark.parametrize("rank", [-1, 8])
def test_a_rank_that_is_not_there_is_refused(rank: int):
    with pytest.raises(PlacementError, match=rf"rank {rank} is not one of the 8"):
        ParallelDims(ulysses_size=4, tp_size=2).coordinates(rank)


@pytest.mark.parametrize("at", [Coordinates(0, 4, 0), Coordinates(0, 0, 2), Coordinates(-1, 0, 0)])
def test_a_place_outside_the_mesh_is_refused(at: Coordinates):
    with pytest.raises(PlacementError, match=r"outside the mesh .* \(1, 4, 2\)"):
        ParallelDims(ulysses_size=4, tp_size=2).rank_of(at)


@given(DIMS, st.integers(1, 10))
def test_heads_divide_where_each_rank_has_as_many(dims: ParallelDims, share: int):
    check_heads(dims, share * dims.ulysses_size * dims.tp_size)


@pytest.mark.parametrize(
    ("dims", "heads", "says"),
    [
        (ParallelDims(ulysses_size=4), 30, r"30 attention heads .* 4 x 1 = 4"),
        (ParallelDims(ulysses_size=4, tp_size=2), 20, r"20 attention heads .* 4 x 2 = 8"),
        (ParallelDims(tp_size=4), 30, r"30 attention heads do not divide by tp_size 4"),
    ],
)
def test_heads_that_do_not_divide_are_refused_with_the_numbers(
    dims: ParallelDims, heads: int, says: str
):
    with pytest.raises(PlacementError, match=says):
        check_heads(dims, heads)


def test_with_ulysses_anything_only_tp_must_divide_the_heads():
    check_heads(ParallelDims(ulysses_size=4), 30, ulysses_anything=True)
    check_heads(ParallelDims(ulysses_size=4, tp_size=2), 30, ulysses_anything=True)
    with pytest.raises(PlacementError, match="tp_size 4"):
        check_heads(ParallelDims(ulysses_size=2, tp_size=4), 30, ulysses_anything=True)


@pytest.mark.parametrize(("heads", "ulysses"), [(30, 16), (4, 3), (2, 4)])
def test_ulysses_anything_leaves_no_rank_without_heads(heads: int, ulysses: int):
    with pytest.raises(PlacementError, match="last rank would have none"):
        check_heads(ParallelDims(ulysses_size=ulysses), heads, ulysses_anything=True)


@given(DIMS, st.integers(1, 10))
def test_a_sequence_divides_where_each_part_is_as_long(dims: ParallelDims, length: int):
    check_sequence(dims, length * dims.ulysses_size * dims.ring_size)


def test_a_sequence_that_does_not_divide_is_refused_with_the_numbers():
    with pytest.raises(PlacementError, match=r"100 tokens .* 4 x 2 = 8"):
        check_sequence(ParallelDims(ulysses_size=4, ring_size=2), 100)


def test_with_ulysses_anything_each_rank_needs_only_a_token():
    dims = ParallelDims(ulysses_size=4)
    check_sequence(dims, 101, ulysses_anything=True)
    with pytest.raises(PlacementError, match="3 tokens is too short for 4 parts"):
        check_sequence(dims, 3, ulysses_anything=True)
