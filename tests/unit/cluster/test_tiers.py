"""The tiers, the words for them, and the promise that a floor and a name are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.tiers import AUTO, QUALITY_WORDS, Tier, acceptable_tiers

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


@given(TIERS, TIERS, OFFERED, st.booleans())
def test_a_named_tier_without_a_floor_is_the_only_one(
    named: Tier, default: Tier, offered: frozenset[Tier], in_time: bool
):
    tiers = acceptable_tiers(named, None, default, offered, in_time=in_time)
    assert tiers == ((named,) if named in offered else ())


@given(TIERS, TIERS, TIERS, OFFERED, st.booleans())
def test_a_named_tier_with_a_floor_is_the_range_between_them(
    named: Tier, floor: Tier, default: Tier, offered: frozenset[Tier], in_time: bool
):
    tiers = acceptable_tiers(named, floor, default, offered, in_time=in_time)
    assert set(tiers) == {t for t in offered if named.rank <= t.rank <= floor.rank}


@given(st.just(AUTO) | TIERS, st.none() | TIERS, TIERS, OFFERED, st.booleans())
def test_no_tier_is_below_the_floor_none_is_not_offered_and_the_best_comes_first(
    requested: str, floor: Tier | None, default: Tier, offered: frozenset[Tier], in_time: bool
):
    tiers = acceptable_tiers(requested, floor, default, offered, in_time=in_time)
    assert set(tiers) <= offered
    assert list(tiers) == sorted(tiers, key=lambda tier: tier.rank)
    assert floor is None or all(tier.rank <= floor.rank for tier in tiers)


@pytest.mark.parametrize(
    ("floor", "in_time", "least"),
    [
        (None, False, MEDIUM),
        (None, True, ULTRA),
        (SLOW, False, SLOW),
        (SLOW, True, SLOW),
        (ULTRA, False, ULTRA),
        (ULTRA, True, ULTRA),
    ],
)
def test_auto_goes_down_to_the_floor_or_the_default_or_with_a_deadline_to_any(
    floor: Tier | None, in_time: bool, least: Tier
):
    tiers = acceptable_tiers(AUTO, floor, MEDIUM, set(Tier), in_time=in_time)
    assert tiers == tuple(Tier)[: least.rank + 1]
