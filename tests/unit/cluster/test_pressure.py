"""The level of quality that a backlog allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.pressure import HYSTERESIS, OWN_PART, STRAINS, Pressure
from cluster.tiers import Tier
from tests.unit.cluster.pools import FAST, NONE, ULTRA

TIERS = tuple(Tier)


def pressure(patience_s: float = 100.0) -> Pressure:
    it = Pressure()
    it.served(patience_s)
    return it


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 10))
def test_before_anything_was_served_every_quality_is_allowed(
    drain_s: float, own_s: float, load: float
):
    assert Pressure().level(drain_s, own_s, load) is NONE


@pytest.mark.parametrize(
    ("limit", "better", "worse"), list(zip(STRAINS, TIERS[:-1], TIERS[1:], strict=True))
)
def test_a_level_is_lost_when_the_strain_exceeds_its_limit(limit: float, better: Tier, worse: Tier):
    assert pressure().level(100.0 * limit, 0.0, 1.0) is better
    assert pressure().level(100.1 * limit, 0.0, 1.0) is worse


def test_a_lost_level_comes_back_when_the_strain_has_fallen_well_below_its_limit():
    it = pressure()
    limit_s = 100.0 * STRAINS[2]
    assert it.level(1.01 * limit_s, 0.0, 1.0) is FAST
    assert it.level(0.99 * limit_s, 0.0, 1.0) is FAST
    assert it.level(0.99 * HYSTERESIS * limit_s, 0.0, 1.0).rank == FAST.rank - 1


def test_a_jobs_own_work_strains_by_as_much_as_the_pool_is_asked_for_by_others():
    own_s = 100.0 * STRAINS[0] / OWN_PART
    assert pressure().level(0.0, 1e6 * own_s, 0.0) is NONE
    assert pressure().level(0.0, 1.9 * own_s, 0.5) is NONE
    assert pressure().level(0.0, 2.1 * own_s, 0.5) is not NONE


def test_a_load_beyond_all_that_the_pool_can_do_counts_as_full():
    own_s = 100.0 * STRAINS[0] / OWN_PART
    assert pressure().level(0.0, 0.9 * own_s, 5.0) is NONE
    assert pressure().level(0.0, 1.1 * own_s, 5.0) is not NONE


def test_the_strain_is_measured_by_the_time_that_jobs_usually_have():
    it = pressure(10.0)
    drain_s = 10.1 * STRAINS[-1]
    assert it.level(drain_s, 0.0, 1.0) is ULTRA
    for _ in range(1000):
        it.served(1000.0 * drain_s / STRAINS[0])
    assert it.level(drain_s, 0.0, 1.0) is NONE


@given(st.floats(0, 100), st.floats(0, 100))
def test_more_that_waits_never_allows_more_quality(one_s: float, other_s: float):
    less_s, more_s = sorted([one_s, other_s])
    assert pressure().level(less_s, 0.0, 1.0).rank <= pressure().level(more_s, 0.0, 1.0).rank
