"""The forecast of a job's seconds: only from jobs like it, and never outside what was measured."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.cost import CostKey, CostModel, cost_key
from cluster.request import Job
from cluster.tiers import Tier

KEY = CostKey("cpu", Tier.FAST, 128, 128, 20, 1)
JOB = Job(
    request_id="a",
    model="shapes",
    prompt="a red circle",
    n=1,
    width=128,
    height=128,
    tier_requested="auto",
    min_tier=None,
    num_inference_steps=20,
    seed=7,
)


def taught(*seconds: float) -> CostModel:
    model = CostModel()
    for each in seconds:
        model.learn(KEY, each)
    return model


def test_nothing_is_forecast_before_anything_is_measured():
    assert CostModel().forecast_s(KEY) is None


def test_the_first_measurement_is_the_forecast():
    assert taught(2.5).forecast_s(KEY) == 2.5


@pytest.mark.parametrize(
    "other",
    [
        {"pool": "cuda"},
        {"tier": Tier.ULTRA},
        {"width": 256},
        {"height": 256},
        {"num_inference_steps": 28},
        {"n": 2},
    ],
)
def test_nothing_is_forecast_of_a_job_unlike_those_measured(other: dict[str, object]):
    assert taught(2.5).forecast_s(dataclasses.replace(KEY, **other)) is None


@given(st.lists(st.floats(0.001, 3600), min_size=1, max_size=30))
def test_a_forecast_lies_between_the_least_and_the_most_measured(seconds: list[float]):
    forecast = taught(*seconds).forecast_s(KEY)
    assert forecast is not None
    assert min(seconds) * 0.999 <= forecast <= max(seconds) * 1.001


def test_a_forecast_follows_a_lasting_change_and_not_one_outlier():
    after_outlier = taught(1.0, 1.0, 1.0, 10.0).forecast_s(KEY)
    after_change = taught(1.0, *[10.0] * 20).forecast_s(KEY)
    assert after_outlier is not None
    assert after_change is not None
    assert 1.0 < after_outlier < 5.5
    assert after_change == pytest.approx(10.0, rel=0.02)


def test_seed_and_prompt_do_not_make_a_job_another_kind():
    other = dataclasses.replace(JOB, request_id="b", prompt="a blue star", seed=8, priority=3)
    assert cost_key(other, "cpu", Tier.FAST) == cost_key(JOB, "cpu", Tier.FAST) == KEY


@pytest.mark.parametrize(
    "other", [{"n": 2}, {"width": 64}, {"height": 64}, {"num_inference_steps": 50}]
)
def test_size_steps_and_number_make_a_job_another_kind(other: dict[str, int]):
    assert cost_key(dataclasses.replace(JOB, **other), "cpu", Tier.FAST) != KEY
