"""Contracts that do not hold, and tiers that measurement turns round."""

from __future__ import annotations

import pytest

from cluster.pool import TierConfig
from cluster.tier_checks import broken_contracts, inversions
from tests.unit.cluster.measured import row


def test_a_contract_that_holds_breaks_nothing():
    contract = TierConfig(min_speedup=2.0, min_psnr_db=40.0)
    assert list(broken_contracts(row(), contract)) == []
    assert list(broken_contracts(row(), TierConfig())) == []


def test_a_contract_is_broken_with_the_numbers():
    contract = TierConfig(min_speedup=2.5, min_psnr_db=45.0)
    speed, psnr = broken_contracts(row(), contract)
    assert str(speed) == (
        "shapes/cpu 128x128, 28 steps, tier fast: min_speedup is 2, less than the 2.5 of its "
        "contract"
    )
    assert (psnr.what, psnr.wanted, psnr.found) == ("min_psnr_db", 45.0, 40.0)


def test_pictures_that_equal_none_are_as_faithful_as_any_contract():
    contract = TierConfig(min_psnr_db=100.0)
    assert list(broken_contracts(row(psnr_db=None), contract)) == []


IN_ORDER = (
    row("none", speed_up=1.0, psnr_db=None),
    row("slow", speed_up=1.4, psnr_db=60.0),
    row("medium", speed_up=1.5, psnr_db=50.0),
    row("fast", speed_up=1.9, psnr_db=45.0),
)


def test_tiers_in_order_are_no_inversion():
    assert inversions(IN_ORDER) == []
    assert inversions(reversed(IN_ORDER)) == []


def test_a_faster_tier_that_is_slower_is_an_inversion():
    (found,) = inversions((*IN_ORDER, row("ultra", speed_up=1.6, psnr_db=40.0)))
    assert (found.better.tier, found.faster.tier) == ("fast", "ultra")
    assert "ultra (1.60x) is slower than fast (1.90x)" in str(found)


def test_a_better_tier_that_is_less_faithful_is_an_inversion():
    (found,) = inversions((*IN_ORDER, row("ultra", speed_up=2.2, psnr_db=47.0)))
    assert "fast (45.0 dB) is less faithful than ultra (47.0 dB)" in str(found)


@pytest.mark.parametrize(
    "ultra",
    [
        row("ultra", speed_up=1.87, psnr_db=40.0),
        row("ultra", speed_up=1.6, speed_up_q75=1.95, psnr_db=40.0),
        row("ultra", speed_up=2.2, psnr_db=45.4),
    ],
)
def test_what_may_be_noise_is_no_inversion(ultra):
    assert inversions((*IN_ORDER, ultra)) == []


def test_only_tiers_of_the_same_work_are_compared():
    other = {"steps": 50, "speed_up": 1.0, "psnr_db": 70.0}
    assert inversions((*IN_ORDER, row("ultra", **other))) == []
    assert inversions((row("slow", speed_up=3.0), row("fast", **other, pool="cuda"))) == []
