"""Which pictures are made together, and what is said of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.acceleration import CacheConfig
from cluster.batching import batches, largest_batch
from cluster.tiers import Tier

STATIC = CacheConfig(steps_computation_policy="static")
DYNAMIC = CacheConfig()
SEER = CacheConfig(steps_computation_policy="static", enable_taylorseer=True)


@pytest.mark.parametrize(
    ("cache", "tier", "steps", "sizes", "note"),
    [
        (DYNAMIC, Tier.NONE, 28, (4,), "4 pictures in one batch: tier none computes every step"),
        (STATIC, Tier.FAST, 28, (4,), "4 pictures in one batch: the step mask alone says"),
        (SEER, Tier.SLOW, 28, (4,), "4 pictures in one batch: the step mask alone says"),
        (STATIC, Tier.NONE, 4, (4,), "4 pictures in one batch: tier none computes every step"),
        (STATIC, Tier.FAST, 7, (1,) * 4, "4 pictures one after another: under 8 steps there is no"),
        (DYNAMIC, Tier.FAST, 28, (1,) * 4, "4 pictures one after another: with steps_computation_"),
    ],
)
def test_pictures_that_cannot_decide_for_each_other_are_made_together(
    cache: CacheConfig, tier: Tier, steps: int, sizes: tuple[int, ...], note: str
) -> None:
    found = batches(4, cache, tier, steps, max_batch=4)
    assert found.sizes == sizes
    assert (found.note or "").startswith(note)


def test_a_mask_given_as_numbers_makes_a_batch_of_few_steps_too() -> None:
    own = STATIC.overridden(CacheConfig(steps_computation_mask=(1, 0, 1)))
    assert batches(2, own, Tier.FAST, 3, max_batch=4).sizes == (2,)


def test_what_is_over_the_largest_batch_follows() -> None:
    found = batches(9, STATIC, Tier.FAST, 28, max_batch=4)
    assert found.sizes == (4, 4, 1)
    assert found.note is not None
    assert found.note.startswith("9 pictures in batches of 4, 4 and 1: ")


MAY_DIFFER = "; the last bits may differ from those of pictures made alone"


def test_pictures_of_a_batch_are_said_to_differ_in_the_last_bits_and_single_ones_are_not() -> None:
    for pictures, together in ((4, True), (5, True), (1, False)):
        note = batches(pictures, STATIC, Tier.FAST, 28, max_batch=4).note or ""
        assert note.endswith(MAY_DIFFER) is together
    apart = batches(4, STATIC, Tier.FAST, 28, max_batch=1).note
    assert apart == "4 pictures one after another: max_batch is 1"


def test_one_picture_needs_no_note() -> None:
    assert batches(1, DYNAMIC, Tier.FAST, 28, max_batch=4).note is None


@pytest.mark.parametrize(
    ("max_batch", "takes_several", "reason"),
    [(1, True, "max_batch is 1"), (4, False, "its pipeline makes one at a time")],
)
def test_a_pool_or_a_pipeline_may_take_one_at_a_time(
    max_batch: int, takes_several: bool, reason: str
) -> None:
    found = batches(3, STATIC, Tier.FAST, 28, max_batch, takes_several=takes_several)
    assert (found.sizes, found.reason) == ((1, 1, 1), reason)


@given(
    pictures=st.integers(1, 40),
    max_batch=st.integers(1, 9),
    tier=st.sampled_from(Tier),
    steps=st.integers(1, 60),
    cache=st.sampled_from((STATIC, DYNAMIC, SEER)),
)
def test_every_picture_is_made_once_and_no_batch_is_too_large(
    pictures: int, max_batch: int, tier: Tier, steps: int, cache: CacheConfig
) -> None:
    sizes = batches(pictures, cache, tier, steps, max_batch).sizes
    assert sum(sizes) == pictures
    assert all(1 <= size <= max_batch for size in sizes)


@pytest.mark.parametrize(
    ("tiers", "largest"),
    [
        ({Tier.NONE: DYNAMIC}, 4),
        ({Tier.FAST: DYNAMIC, Tier.ULTRA: STATIC}, 4),
        ({Tier.FAST: DYNAMIC}, 1),
    ],
)
def test_memory_is_needed_for_a_batch_only_where_a_tier_makes_one(
    tiers: dict[Tier, CacheConfig], largest: int
) -> None:
    assert largest_batch(tiers, max_batch=4, max_images=8) == largest
    assert largest_batch(tiers, max_batch=4, max_images=1) == 1
