"""A calibration teaches the forecasts: they are there before the first request."""

from __future__ import annotations

import pytest

from cluster.config import ModelConfig
from cluster.cost import CostModel
from cluster.tier_lessons import teach
from cluster.tiers import Tier
from tests.unit.cluster.jobs import job
from tests.unit.cluster.measured import row


@pytest.mark.parametrize("spread", [1.15, 1.3, 1.4])
def test_a_row_is_forecast_as_it_was_measured(model: ModelConfig, spread: float):
    costs = CostModel(model)
    measured = row(seconds_p95=0.2 * spread)
    teach(costs, [measured])
    forecast = costs.forecast(job(num_inference_steps=28), "cpu", Tier.FAST)
    assert forecast.measured
    assert forecast.p50_s == pytest.approx(0.2)
    assert forecast.p95_s == pytest.approx(0.2 * spread, rel=0.03)


@pytest.mark.parametrize("spread", [1.0, 10.0])
def test_an_odd_spread_leaves_the_median_as_it_was_measured(model: ModelConfig, spread: float):
    costs = CostModel(model)
    teach(costs, [row(seconds_p95=0.2 * spread)])
    forecast = costs.forecast(job(num_inference_steps=28), "cpu", Tier.FAST)
    assert forecast.p50_s == pytest.approx(0.2)
    assert forecast.p50_s < forecast.p95_s < 0.4


def test_rows_tell_what_other_steps_and_tiers_of_the_size_take(model: ModelConfig):
    costs = CostModel(model)
    none = row(
        "none", seconds_p50=0.4, seconds_p95=0.4, denoise_s=0.38, steps_computed=28, steps_cached=0
    )
    teach(costs, [none, row()])
    longer = costs.forecast(job(num_inference_steps=50), "cpu", Tier.NONE)
    assert longer.measured
    assert longer.p50_s == pytest.approx(0.02 + 0.38 * 50 / 28, rel=0.05)


def test_a_guided_row_is_forecast_for_guided_jobs(model: ModelConfig):
    costs = CostModel(model)
    teach(costs, [row(guided=True, seconds_p50=0.5, seconds_p95=0.5)])
    guided = job(num_inference_steps=28, true_cfg_scale=4.0)
    assert costs.forecast(guided, "cpu", Tier.FAST).p50_s == pytest.approx(0.5)
