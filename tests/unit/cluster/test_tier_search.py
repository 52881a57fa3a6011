"""The search proposes the fastest settings that are faithful enough, in order, as config."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.acceleration import CacheConfig
from cluster.pool import PoolConfig
from cluster.tier_search import WANTED_PSNR_DB, grid, proposals, tiers_section
from cluster.tiers import Tier
from tests.unit.cluster.measured import row

SETTINGS = grid()


def trial(index: int, speed_up: float, psnr_db: float | None):
    return SETTINGS[index], row("ultra", speed_up=speed_up, psnr_db=psnr_db)


def test_the_grid_has_no_setting_twice():
    assert len(SETTINGS) == 48
    assert len({each.model_dump_json() for each in SETTINGS}) == 48


def test_each_tier_gets_the_fastest_that_reaches_its_bar():
    trials = [trial(0, 1.3, 60.0), trial(1, 1.6, 52.0), trial(2, 2.0, 44.0), trial(3, 2.5, 36.0)]
    found = {each.tier: each.row for each in proposals(trials, WANTED_PSNR_DB)}
    speeds = {tier: found[tier].speed_up for tier in found}
    assert speeds == {Tier.SLOW: 1.6, Tier.MEDIUM: 1.6, Tier.FAST: 2.0, Tier.ULTRA: 2.5}


def test_a_bar_that_nothing_reaches_has_no_proposal():
    slow, *_, ultra = proposals([trial(0, 1.5, 40.0)], WANTED_PSNR_DB)
    assert (slow.cache, slow.row) == (None, None)
    assert ultra.cache == SETTINGS[0]
    assert list(tiers_section([slow, ultra])) == ["none", "ultra"]


def test_pictures_that_equal_none_reach_every_bar():
    assert proposals([trial(0, 1.1, None)], {Tier.SLOW: 100.0})[0].cache == SETTINGS[0]


def test_bars_that_rise_are_refused():
    with pytest.raises(ValueError, match="fast is to be more faithful"):
        proposals([], {Tier.MEDIUM: 40.0, Tier.FAST: 45.0})


@given(
    st.lists(st.tuples(st.floats(0.5, 5), st.floats(20, 70)), min_size=1, max_size=len(SETTINGS))
)
def test_proposed_tiers_are_in_order_of_speed_and_of_faithfulness(measured):
    trials = [trial(index, *each) for index, each in enumerate(measured)]
    rows = [each.row for each in proposals(trials, WANTED_PSNR_DB) if each.row]
    for better, faster in pairwise(rows):
        assert better.speed_up <= faster.speed_up
        if faster.speed_up > better.speed_up:
            assert faster.psnr_db < better.psnr_db


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_every_setting_of_the_grid_is_a_tier_that_a_config_takes(setting: CacheConfig):
    section = tiers_section(proposals([(setting, row(psnr_db=70.0))], WANTED_PSNR_DB))
    pool = PoolConfig.model_validate({"name": "a", "device": "cpu", "tiers": section})
    assert pool.cache_for(Tier.FAST) == setting
    assert pool.tiers[Tier.FAST].min_psnr_db == WANTED_PSNR_DB[Tier.FAST]
