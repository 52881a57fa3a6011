"""How single pictures become the row of a tier."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import ModelConfig
from cluster.tier_samples import Fidelity, Sample, Timing, quantile, summary
from cluster.tiers import Tier
from tests.unit.cluster.jobs import job


def sample(seconds: float, none_s: float, psnr_db: float = 40.0, **fidelity: Any) -> Sample:
    timing = Timing(0.1 * seconds, 0.8 * seconds, 0.1 * seconds, 3, 5, None)
    return Sample(timing, none_s, Fidelity(psnr_db, 0.99, **fidelity))


def test_the_speed_up_goes_by_rounds_so_that_a_slow_moment_cancels(model: ModelConfig):
    samples = [sample(1.0, 2.0), sample(10.0, 20.0), sample(1.0, 2.0)]
    row = summary(model.pools[0], Tier.FAST, job(), samples)
    assert (row.speed_up, row.speed_up_q25, row.speed_up_q75) == (2.0, 2.0, 2.0)
    assert row.seconds_p50 == pytest.approx(1.0)
    assert row.seconds_p95 == pytest.approx(9.1)


def test_equal_pictures_have_no_psnr_and_the_worst_picture_is_told(model: ModelConfig):
    equal = summary(model.pools[0], Tier.NONE, job(), [sample(1.0, 1.0, math.inf)])
    assert (equal.psnr_db, equal.psnr_least_db) == (None, None)
    found = [sample(1.0, 1.0, psnr_db) for psnr_db in (math.inf, 50.0, 40.0)]
    row = summary(model.pools[0], Tier.FAST, job(), found)
    assert (row.psnr_db, row.psnr_least_db) == (50.0, 40.0)


def test_facts_are_summed_and_what_was_not_judged_stays_out(model: ModelConfig):
    found = [sample(1.0, 1.0, adherence=(5, 6), lpips=0.1), sample(1.0, 1.0)]
    row = summary(model.pools[0], Tier.FAST, job(), found)
    assert (row.adherence, row.lpips, row.clip_score) == ((5, 6), 0.1, None)


@given(st.lists(st.floats(-100, 100), min_size=1), st.floats(0, 1))
def test_a_quantile_lies_among_the_values_and_its_ends_are_theirs(values, share):
    assert min(values) <= quantile(values, share) + 1e-9
    assert quantile(values, share) <= max(values) + 1e-9
    assert (quantile(values, 0), quantile(values, 1)) == (min(values), max(values))


def test_quantiles_are_interpolated():
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert quantile([10.0, 0.0], 0.95) == 9.5
