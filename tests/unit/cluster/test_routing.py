"""Which tier on which pool, and why."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.cost import Forecast
from cluster.routing import SAME_FINISH, SPENDABLE, Option, choose
from cluster.tiers import Tier
from tests.unit.cluster.pools import FAST, MEDIUM, NONE, SLOW, STEP_S, ULTRA


def option(tier: Tier = NONE, seconds: float | None = None, **facts: Any) -> Option:
    """8, 6, 4, 3 or 2 seconds by tier, on a pool of one rank that has nothing else to do."""
    p50_s = 8 * STEP_S[tier] if seconds is None else seconds
    p95_s = facts.pop("p95_s", p50_s)
    usual: dict[str, Any] = {"pool": "p", "ranks": 1, "spare_s": math.inf, "level": NONE}
    return Option(tier=tier, forecast=Forecast(p50_s, p95_s, measured=True), **usual | facts)


def all_tiers(**facts: Any) -> list[Option]:
    return [option(tier, **facts) for tier in Tier]


@pytest.mark.parametrize(
    ("left_s", "tier"), [(8.0, NONE), (7.9, SLOW), (4.0, MEDIUM), (3.9, FAST), (2.0, ULTRA)]
)
def test_the_best_tier_that_meets_the_deadline_is_taken(left_s: float, tier: Tier):
    chosen, reason = choose(all_tiers(), left_s)
    assert (chosen.tier, reason) == (tier, f"{tier} keeps all deadlines")


def test_a_deadline_counts_as_met_when_95_of_100_such_jobs_meet_it():
    options = [option(NONE, p95_s=9.0), option(SLOW, p95_s=7.0)]
    assert choose(options, 9.0)[0].tier is NONE
    assert choose(options, 8.9)[0].tier is SLOW


def test_a_better_tier_uses_up_only_a_part_of_the_slack_of_those_behind():
    assert choose(all_tiers(spare_s=8.0 / SPENDABLE), 99.0)[0].tier is NONE
    assert choose(all_tiers(spare_s=8.0), 99.0)[0].tier is SLOW


@pytest.mark.parametrize("level", Tier)
def test_nothing_better_than_the_level_is_taken(level: Tier):
    assert choose(all_tiers(level=level), 99.0)[0].tier is level


def test_a_caller_whose_floor_is_above_the_level_gets_the_floor():
    chosen, reason = choose([option(NONE, level=FAST), option(SLOW, level=FAST)], 99.0)
    assert (chosen.tier, reason) == (SLOW, "slow keeps all deadlines")


def test_where_no_tier_keeps_all_deadlines_it_is_the_shortest_work():
    chosen, reason = choose(all_tiers(), 1.0)
    assert (chosen.tier, reason) == (ULTRA, "no tier keeps all deadlines; the shortest work")


@pytest.mark.parametrize("left_s", [99.0, 1.0])
def test_a_single_option_is_taken_and_said_to_be_the_only_one(left_s: float):
    only = option(SLOW, level=ULTRA)
    assert choose([only], left_s) == (only, "slow is the only choice")


@pytest.mark.parametrize(
    ("slower", "pool"), [(0.9 * SAME_FINISH, "one"), (1.1 * SAME_FINISH, "eight")]
)
def test_the_earliest_finish_wins_and_among_equal_ones_the_fewest_rank_seconds(
    slower: float, pool: str
):
    options = [
        option(seconds=1.0 + slower, pool="one", ranks=1),
        option(seconds=1.0, pool="eight", ranks=8),
    ]
    assert choose(options, 99.0)[0].pool == pool


def test_a_pool_that_keeps_the_deadlines_goes_before_one_that_finishes_sooner_without():
    options = [
        option(seconds=2.0, pool="slow"),
        option(seconds=1.0, pool="quick", spare_s=0.5),
    ]
    assert choose(options, 99.0)[0].pool == "slow"


options = st.builds(
    option,
    st.sampled_from(Tier),
    st.floats(0.1, 10),
    pool=st.sampled_from("pqr"),
    ranks=st.integers(1, 8),
    spare_s=st.floats(-5, 20),
    level=st.sampled_from(Tier),
)


@given(st.lists(options, min_size=1, max_size=8), st.floats(-5, 20))
def test_if_the_choice_breaks_a_deadline_none_at_or_below_the_level_would_have_kept_all(
    options: list[Option], left_s: float
):
    chosen, _ = choose(options, left_s)
    assert chosen in options
    if not chosen.keeps_all(left_s):
        allowed = [each for each in options if each.tier.rank >= each.level.rank]
        assert len(options) == 1 or not any(each.keeps_all(left_s) for each in allowed)
