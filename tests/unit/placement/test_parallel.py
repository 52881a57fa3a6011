"""The parallel dimensions of a replica: what fits its ranks, and what is refused in numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.parallel import ParallelDims, PlacementError, resolve_dims

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
