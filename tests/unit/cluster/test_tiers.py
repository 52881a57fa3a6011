"""The tiers, the words for them, and the promise that a floor and a name are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.tiers import AUTO, QUALITY_WORDS, Tier, served_tier

TIERS = st.sampled_from(Tier)
OFFERED = st.frozensets(TIERS)
NONE, SLOW, MEDIUM, FAST, ULTRA = Tier


def test_the_tiers_are_in_falling_quality():
    assert [str(tier) for tier in Tier] == ["none", "slow", "medium", "fast", "ultra"]
    assert [tier.rank for tier in Tier] == [0, 1, 2, 3, 4]


def test_openais_quality_words_have_the_documented_tiers():
    assert QUALITY_WORDS == {
        "high": "none",
        "hd": "none",
        "medium": "medium",
        "standard": "medium",
        "low": "ultra",
        "auto": "auto",
    }


@given(TIERS, st.none() | TIERS, TIERS, OFFERED)
def test_a_named_tier_is_served_as_named_or_not_at_all(
    named: Tier, floor: Tier | None, default: Tier, offered: frozenset[Tier]
):
    assert served_tier(named, floor, default, offered) == (named if named in offered else None)


@given(TIERS, TIERS, OFFERED)
def test_auto_never_serves_below_the_floor(floor: Tier, default: Tier, offered: frozenset[Tier]):
    tier = served_tier(AUTO, floor, default, offered)
    if tier is None:
        assert all(worse.rank > floor.rank for worse in offered)
    else:
        assert tier in offered
        assert tier.rank <= floor.rank


@given(st.none() | TIERS, TIERS, OFFERED)
def test_auto_serves_the_default_wherever_it_is_offered_and_good_enough(
    floor: Tier | None, default: Tier, offered: frozenset[Tier]
):
    if default in offered and (floor is None or default.rank <= floor.rank):
        assert served_tier(AUTO, floor, default, offered) == default


@pytest.mark.parametrize(
    ("floor", "default", "offered", "served"),
    [
        (None, MEDIUM, set(Tier), MEDIUM),
        (SLOW, MEDIUM, set(Tier), SLOW),
        (FAST, MEDIUM, set(Tier), MEDIUM),
        (NONE, ULTRA, set(Tier), NONE),
        (None, MEDIUM, {NONE, FAST}, FAST),
        (None, MEDIUM, {SLOW, FAST}, SLOW),
        (SLOW, MEDIUM, {NONE, FAST}, NONE),
        (None, MEDIUM, {ULTRA}, ULTRA),
        (SLOW, MEDIUM, {FAST, ULTRA}, None),
        (None, MEDIUM, set(), None),
    ],
)
def test_auto_serves_the_tier_nearest_to_the_default_within_the_floor(
    floor: Tier | None, default: Tier, offered: set[Tier], served: Tier | None
):
    assert served_tier(AUTO, floor, default, offered) == served
