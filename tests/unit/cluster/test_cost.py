"""The forecast of a job's engine seconds: exact for its like, sensible for all others."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import ModelConfig
from cluster.cost import LIKENESSES_KEPT, CostModel, Forecast, Measured, likeness
from cluster.job import Job
from cluster.step_masks import expected_steps
from cluster.tiers import Tier

MODEL = ModelConfig.model_validate(
    {
        "name": "flux",
        "source": "somewhere",
        "pools": [
            {"name": "one", "cache_config": {"steps_computation_policy": "static"}},
            {"name": "eager"},
            {"name": "four", "num_ranks": 4, "parallelism_config": {"ulysses_size": 4}},
            {"name": "eight", "num_ranks": 8, "parallelism_config": {"ulysses_size": 8}},
            {"name": "cpu", "num_ranks": 2, "device": "cpu", "tiers": ["fast"],
             "parallelism_config": {"ulysses_size": 2}},
        ],
    }
)  # fmt: skip
JOB = Job("a", "flux", "a red circle", 1, 1024, 1024, "auto", None, 28, 7)
STEP_S, CACHED_STEP_S = 0.2, 0.05

jobs = st.builds(
    dataclasses.replace,
    st.just(JOB),
    width=st.integers(1, 128).map(lambda side: 16 * side),
    height=st.integers(1, 128).map(lambda side: 16 * side),
    num_frames=st.none() | st.integers(1, 241),
    num_inference_steps=st.integers(1, 100),
    n=st.integers(1, 4),
    negative_prompt=st.none() | st.just("blur"),
    true_cfg_scale=st.none() | st.floats(0, 10),
)
places = st.sampled_from([(pool.name, tier) for pool in MODEL.pools for tier in pool.tiers])
stage_s = st.floats(0, 1e5, allow_subnormal=False)


@pytest.fixture
def costs() -> CostModel:
    return CostModel(MODEL)


def like(**changes: Any) -> Job:
    return dataclasses.replace(JOB, **changes)


def work(job: Job, pool: str, tier: Tier, *, computed: int | None = None) -> Measured:
    """What a job takes: 0.1 s of encoding, 0.2 s a megapixel-step, 0.3 s a megapixel of decoding.

    A cached step takes a quarter of a computed one; `computed` is for one picture.
    """
    megapixels = job.width * job.height / 2**20
    if computed is None:
        computed = expected_steps(
            MODEL.pool_named(pool).cache_for(tier), tier, job.num_inference_steps
        ).most
    cached = job.num_inference_steps - computed
    denoise_s = megapixels * (computed * STEP_S + cached * CACHED_STEP_S)
    return Measured(
        0.1 * job.n,
        denoise_s * job.n,
        0.3 * megapixels * job.n,
        computed * job.n,
        cached * job.n,
    )


def teach(costs: CostModel, pool: str, *tiers: Tier, job: Job = JOB) -> None:
    for tier in tiers:
        costs.learn(job, pool, tier, work(job, pool, tier))


@given(
    st.lists(
        st.tuples(
            jobs,
            places,
            st.tuples(stage_s, stage_s, stage_s),
            st.integers(1, 100),
            st.integers(0, 99),
        ),
        max_size=12,
    ),
    jobs,
)
def test_every_forecast_is_positive_finite_and_in_order(
    done: list[tuple[Job, tuple[str, Tier], tuple[float, float, float], int, int]], job: Job
):
    costs = CostModel(MODEL)
    for each, (pool, tier), stages, computed, cached in done:
        costs.learn(each, pool, tier, Measured(*stages, computed, cached))
    for each in [job, *(made[0] for made in done)]:
        for pool in MODEL.pools:
            for tier in pool.tiers:
                found = costs.forecast(each, pool.name, tier)
                assert 0 < found.p50_s <= found.p95_s < math.inf
                somewhere = any(where[0] == pool.name for _, where, *_ in done)
                assert somewhere or not found.measured


@given(jobs, places, st.integers(1, 5))
def test_a_job_like_those_measured_takes_what_they_took(
    job: Job, place: tuple[str, Tier], times: int
):
    costs, (pool, tier) = CostModel(MODEL), place
    for _ in range(times):
        costs.learn(job, pool, tier, work(job, pool, tier))
    found = costs.forecast(job, pool, tier)
    assert found.p50_s == pytest.approx(work(job, pool, tier).busy_s)
    assert found.measured == (times >= 2), "the first may have paid for compiling"


def test_a_size_that_was_measured_in_one_tier_is_trusted_in_the_others(costs: CostModel):
    costs.learn(JOB, "one", Tier.NONE, work(JOB, "one", Tier.NONE))
    costs.learn(JOB, "one", Tier.FAST, work(JOB, "one", Tier.FAST))
    assert costs.forecast(JOB, "one", Tier.NONE).measured
    assert costs.forecast(JOB, "one", Tier.MEDIUM).measured


def test_the_handover_counts_once_however_many_pictures_there_are(costs: CostModel):
    measured = dataclasses.replace(work(JOB, "one", Tier.NONE), handover_s=100.0)
    for _ in range(2):
        costs.learn(JOB, "one", Tier.NONE, measured)
    many = dataclasses.replace(JOB, n=4)
    alone = work(many, "one", Tier.NONE).busy_s
    assert costs.forecast(many, "one", Tier.NONE).p50_s == pytest.approx(alone + 100.0, rel=0.05)


def test_repeats_without_a_difference_leave_no_doubt(costs: CostModel):
    teach(costs, "one", *[Tier.FAST] * 100)
    found = costs.forecast(JOB, "one", Tier.FAST)
    assert found.p95_s == pytest.approx(found.p50_s, rel=1e-4)


def test_one_slow_job_hardly_moves_the_forecast_of_its_like(costs: CostModel):
    teach(costs, "one", *[Tier.FAST] * 20)
    before = costs.forecast(JOB, "one", Tier.FAST)
    slow = work(JOB, "one", Tier.FAST)
    costs.learn(JOB, "one", Tier.FAST, dataclasses.replace(slow, denoise_s=10 * slow.denoise_s))
    assert costs.forecast(JOB, "one", Tier.FAST).p50_s == pytest.approx(before.p50_s, rel=0.05)


def test_seed_prompt_and_caller_make_no_difference(costs: CostModel):
    teach(costs, "one", Tier.FAST)
    other = like(request_id="b", prompt="a blue star", seed=8, priority=3, output_format="jpeg")
    assert costs.forecast(other, "one", Tier.FAST) == costs.forecast(JOB, "one", Tier.FAST)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 512},
        {"height": 512},
        {"num_frames": 5},
        {"num_inference_steps": 50},
        {"n": 2},
        {"negative_prompt": "blur"},
        {"true_cfg_scale": 4.0},
    ],
)
def test_size_frames_steps_number_and_guidance_make_a_job_another_kind(change: dict[str, Any]):
    assert likeness(like(**change), "one", Tier.FAST) != likeness(JOB, "one", Tier.FAST)


@pytest.mark.parametrize(
    ("job", "tier"),
    [
        (like(), Tier.ULTRA),
        (like(num_inference_steps=50), Tier.FAST),
        (like(n=4), Tier.MEDIUM),
        (like(width=512, height=2048), Tier.SLOW),
        (like(width=512, height=512, num_inference_steps=20, n=2), Tier.ULTRA),
    ],
)
def test_a_job_unlike_any_is_put_together_from_stages_within_5_percent(
    costs: CostModel, job: Job, tier: Tier
):
    teach(costs, "one", *[Tier.NONE, Tier.FAST] * 5)
    found, truth = costs.forecast(job, "one", tier), work(job, "one", tier).busy_s
    assert found.measured
    assert found.p50_s == pytest.approx(truth, rel=0.05)
    assert found.p95_s > truth


def test_where_attention_makes_a_larger_size_slower_than_its_pixels_p95_allows_for_it(
    costs: CostModel,
):
    teach(costs, "one", Tier.NONE)
    by_pixels = costs.forecast(like(width=2048, height=2048), "one", Tier.NONE)
    assert by_pixels.p95_s > 1.9 * by_pixels.p50_s


def test_a_dynamic_tier_never_seen_is_taken_to_compute_half_of_what_it_may_skip(costs: CostModel):
    teach(costs, "eager", Tier.NONE)
    found = costs.forecast(JOB, "eager", Tier.ULTRA)
    steps = found.p50_s - 0.1 - 0.3
    assert steps == pytest.approx((18 + 10 * 0.15) * STEP_S)
    assert found.p95_s > costs.forecast(JOB, "eager", Tier.NONE).p50_s


def test_a_dynamic_tier_is_taken_to_compute_what_it_did_before(costs: CostModel):
    teach(costs, "eager", Tier.NONE)
    for _ in range(3):
        costs.learn(
            like(n=2), "eager", Tier.ULTRA, work(like(n=2), "eager", Tier.ULTRA, computed=10)
        )
    found = costs.forecast(like(num_inference_steps=50), "eager", Tier.ULTRA)
    computed = 14 + (10 - 8) / (28 - 8) * (50 - 14)
    truth = work(like(num_inference_steps=50), "eager", Tier.ULTRA, computed=round(computed))
    assert found.p50_s == pytest.approx(truth.busy_s, rel=0.05)


def test_before_anything_is_measured_forecasts_are_only_good_to_order_by(costs: CostModel):
    found = [costs.forecast(JOB, "one", tier) for tier in Tier]
    assert not any(each.measured for each in found)
    assert [each.p50_s for each in found] == sorted((each.p50_s for each in found), reverse=True)
    for slower in (like(width=2048), like(num_inference_steps=50), like(n=2), like(num_frames=9)):
        assert costs.forecast(slower, "one", Tier.FAST).p50_s > found[3].p50_s
    eight = costs.forecast(JOB, "eight", Tier.NONE)
    assert eight.p50_s == pytest.approx(found[0].p50_s / 8)


def test_a_pool_never_measured_goes_by_the_ranks_of_one_that_was(costs: CostModel):
    teach(costs, "four", Tier.NONE)
    four = costs.forecast(like(n=2), "four", Tier.NONE)
    assert costs.forecast(like(n=2), "eight", Tier.NONE) == Forecast(
        pytest.approx(four.p50_s / 2), pytest.approx(four.p95_s), measured=False
    )
    assert costs.forecast(like(n=2), "one", Tier.NONE) == Forecast(
        pytest.approx(4 * four.p50_s), pytest.approx(4 * four.p95_s), measured=False
    )


def test_a_pool_never_measured_goes_by_its_own_kind_of_device_first(costs: CostModel):
    slow = Measured(1.0, 500.0, 1.0, 28, 0)
    costs.learn(JOB, "cpu", Tier.FAST, slow)
    assert costs.forecast(JOB, "eight", Tier.NONE).p50_s == pytest.approx(slow.busy_s * 2 / 8)
    teach(costs, "one", Tier.NONE)
    one = costs.forecast(JOB, "one", Tier.NONE)
    assert costs.forecast(JOB, "eight", Tier.NONE).p50_s == pytest.approx(one.p50_s / 8)


def test_a_pool_that_was_measured_no_longer_goes_by_another(costs: CostModel):
    teach(costs, "four", Tier.NONE)
    teach(costs, "eight", Tier.NONE)
    found = costs.forecast(JOB, "eight", Tier.NONE)
    assert found.p50_s == pytest.approx(work(JOB, "eight", Tier.NONE).busy_s)


def test_the_kinds_of_jobs_that_were_measured_last_are_remembered(costs: CostModel):
    slow = Measured(0.1, 100.0, 0.1, 28, 0)
    costs.learn(JOB, "one", Tier.NONE, slow)
    for index in range(LIKENESSES_KEPT):
        costs.learn(like(num_frames=1 + index), "one", Tier.FAST, work(JOB, "one", Tier.FAST))
    assert costs.forecast(JOB, "one", Tier.NONE).p50_s < slow.busy_s / 2
    last = like(num_frames=LIKENESSES_KEPT)
    assert costs.forecast(last, "one", Tier.FAST).p50_s == pytest.approx(
        work(JOB, "one", Tier.FAST).busy_s
    )


def test_what_is_not_served_has_no_forecast(costs: CostModel):
    with pytest.raises(KeyError):
        costs.forecast(JOB, "unknown", Tier.FAST)
    with pytest.raises(KeyError):
        costs.forecast(JOB, "cpu", Tier.NONE)
