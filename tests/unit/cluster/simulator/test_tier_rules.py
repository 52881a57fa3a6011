"""What tier each rule serves; none of them goes below a floor."""

from __future__ import annotations

import math

import pytest

from cluster.cost import Forecast
from cluster.simulator.mixes import TIER_WORK
from cluster.simulator.tier_rules import DROPS, RULES, Choice, Outlook
from cluster.tiers import Tier
from tests.unit.cluster.simulator.schedule import Asked, tiers

NONE, SLOW, MEDIUM, FAST, ULTRA = Tier


def served(rule: str, floor: Tier, left_s: float = math.inf, queued: float = 0.0) -> Tier:
    """Of ten seconds of work at `none`, with all tiers down to the floor acceptable."""
    choices = [
        Choice(tier, Forecast(10 * work, 10 * work, measured=True))
        for tier, work in TIER_WORK.items()
        if tier.rank <= floor.rank
    ]
    return RULES[rule](choices, Outlook(left_s, queued)).tier


@pytest.mark.parametrize("floor", Tier)
def test_as_asked_is_the_best_and_a_fixed_tier_is_raised_to_the_floor(floor: Tier) -> None:
    assert served("asked", floor) is NONE
    assert served("none", floor) is NONE
    assert served("fast", floor) is (floor if floor.rank < FAST.rank else FAST)
    assert served("ultra", floor) is floor


@pytest.mark.parametrize(
    ("left_s", "tier"),
    [(math.inf, NONE), (10, NONE), (9.9, SLOW), (6, MEDIUM), (5, FAST), (3.3, ULTRA), (1, ULTRA)],
)
def test_fits_is_the_best_that_keeps_the_deadline_or_the_floor(left_s: float, tier: Tier) -> None:
    assert served("fits", ULTRA, left_s) is tier
    assert served("fits", MEDIUM, left_s) is (tier if tier.rank <= MEDIUM.rank else MEDIUM)


def test_threshold_falls_tier_by_tier_as_more_jobs_wait_for_each_replica() -> None:
    assert served("threshold", ULTRA, queued=0.4) is NONE
    for tier, queued in DROPS.items():
        assert served("threshold", ULTRA, queued=queued) is tier
    assert served("threshold", SLOW, queued=100) is SLOW


def test_one_line_decides_when_a_job_begins_and_a_replica_line_when_it_joins() -> None:
    asked = [
        Asked(0, 10, 100, tier="auto"),
        Asked(0, 10, 15, tier="auto"),  # 5 s are left when the first is done
        Asked(0, 10, 16, tier="auto"),  # 16 - 10 - 4.6 are left after the second
    ]
    assert tiers("fifo+fits", asked, replicas=1) == ["none", "fast", "ultra"]
    assert tiers("least-work+fits", asked, replicas=1) == ["none", "fast", "ultra"]
    # Two wait behind the first when it begins; nobody waits where the first ones join.
    assert tiers("fifo+threshold", asked, replicas=1) == ["medium", "fast", "medium"]
    assert tiers("least-work+threshold", asked, replicas=1) == ["none", "none", "medium"]


def test_a_tier_that_was_named_is_served_by_every_rule() -> None:
    for rule in RULES:
        assert tiers(f"fifo+{rule}", [Asked(0, 10, 1, tier="slow")], replicas=1) == ["slow"]
