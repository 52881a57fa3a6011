"""A pool's speed by stages: what its jobs, of whatever tier, say of sizes and tiers unseen."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.job import Job
from cluster.pool_speed import SIZES_KEPT, Measured, PoolSpeed, Speed
from cluster.step_seconds import CACHED_RATIO_PRIOR

JOB = Job("a", "shapes", "a red circle", 1, 512, 512, "auto", None, 28, 7)
GUIDED = dataclasses.replace(JOB, negative_prompt="blur")
TRUTH = Speed(encode_s=0.3, step_s=0.2, cached_step_s=0.06, decode_s=0.5)
NONE, SLOW, FAST, ULTRA = (28, 0), (18, 10), (11, 17), (8, 20)
"""Steps computed and cached."""


def made(job: Job, mix: tuple[int, int], truth: Speed = TRUTH) -> Measured:
    """What a job takes on a pool whose speed at that job's size is known."""
    computed, cached = (job.n * steps for steps in mix)
    return Measured(
        job.n * truth.encode_s,
        computed * truth.step_s + cached * truth.cached_step_s,
        job.n * truth.decode_s,
        computed,
        cached,
    )


def taught(*mixes: tuple[int, int], job: Job = JOB) -> PoolSpeed:
    pool = PoolSpeed(job, made(job, mixes[0]))
    for mix in mixes[1:]:
        pool.learn(job, made(job, mix))
    return pool


def slower(speed: Speed, factor: float) -> Speed:
    return Speed(*(factor * each for each in dataclasses.astuple(speed)[:4]))


@pytest.mark.parametrize(("mixes", "tolerance"), [([NONE, FAST] * 3, 0.05), ([NONE, SLOW], 0.1)])
def test_two_tiers_tell_a_computed_step_from_a_cached_one(
    mixes: list[tuple[int, int]], tolerance: float
):
    found = taught(*mixes).speed(JOB)
    assert found.step_s == pytest.approx(TRUTH.step_s, rel=tolerance)
    assert found.cached_step_s == pytest.approx(TRUTH.cached_step_s, rel=5 * tolerance)
    assert found.encode_s == pytest.approx(TRUTH.encode_s)
    assert found.decode_s == pytest.approx(TRUTH.decode_s)


@given(st.floats(0.05, 1.0), st.permutations([NONE, FAST] * 5))
def test_an_unseen_tier_is_known_within_10_percent_after_five_jobs_of_each_of_two_others(
    ratio: float, mixes: list[tuple[int, int]]
):
    truth = dataclasses.replace(TRUTH, cached_step_s=ratio * TRUTH.step_s)
    pool = PoolSpeed(JOB, made(JOB, mixes[0], truth))
    for mix in mixes[1:]:
        pool.learn(JOB, made(JOB, mix, truth))
    for unseen in (SLOW, ULTRA):
        found = made(JOB, unseen, pool.speed(JOB)).denoise_s
        assert found == pytest.approx(made(JOB, unseen, truth).denoise_s, rel=0.1)


def test_one_job_of_a_second_tier_corrects_what_the_first_took_for_granted():
    only_fast, both = (taught(*mixes).speed(JOB) for mixes in ([FAST], [FAST, NONE]))
    truth = made(JOB, ULTRA).denoise_s
    assert made(JOB, ULTRA, only_fast).denoise_s == pytest.approx(truth, rel=0.1)
    assert made(JOB, ULTRA, both).denoise_s == pytest.approx(truth, rel=0.1)
    assert made(JOB, NONE, only_fast).denoise_s == pytest.approx(
        made(JOB, NONE).denoise_s, rel=0.25
    )
    assert made(JOB, NONE, both).denoise_s == pytest.approx(made(JOB, NONE).denoise_s, rel=0.1)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.sampled_from([NONE, FAST, (1, 99)])), min_size=1))
def test_a_cached_step_is_never_forecast_to_take_longer_than_a_computed_one(
    jobs: list[tuple[float, tuple[int, int]]],
):
    pool = PoolSpeed(JOB, made(JOB, NONE))
    for denoise_s, (computed, cached) in jobs:
        pool.learn(JOB, Measured(0.1, denoise_s, 0.1, computed, cached))
    found = pool.speed(JOB)
    assert 0 < found.cached_step_s <= found.step_s < math.inf


def test_one_tier_alone_is_right_about_itself_and_takes_the_ratio_for_granted():
    found = taught(FAST, FAST, FAST).speed(JOB)
    assert made(JOB, FAST, found).denoise_s == pytest.approx(made(JOB, FAST).denoise_s)
    assert found.cached_step_s == pytest.approx(CACHED_RATIO_PRIOR * found.step_s)


@pytest.mark.parametrize("others", [0, 300])
def test_a_small_lasting_change_is_followed_however_long_nothing_changed(others: int):
    pool = taught(*[NONE, FAST] * (5 + others))
    for _ in range(20):
        pool.learn(JOB, made(JOB, NONE, slower(TRUTH, 1.15)))
    assert pool.speed(JOB).step_s == pytest.approx(1.15 * TRUTH.step_s, rel=0.02)


@pytest.mark.parametrize("n", [1, 4])
def test_the_speed_is_that_of_one_picture(n: int):
    job = dataclasses.replace(JOB, n=n)
    found = taught(NONE, FAST, NONE, FAST, job=job).speed(JOB)
    assert made(job, NONE, found).busy_s == pytest.approx(made(job, NONE).busy_s, rel=0.05)


def test_a_job_ten_times_too_slow_hardly_moves_the_speed():
    pool = taught(*[NONE, FAST] * 10)
    before = pool.speed(JOB)
    pool.learn(JOB, made(JOB, NONE, slower(TRUTH, 10)))
    assert made(JOB, NONE, pool.speed(JOB)).busy_s == pytest.approx(
        made(JOB, NONE, before).busy_s, rel=0.1
    )


@pytest.mark.parametrize("factor", [10, 1.5, 0.5])
@pytest.mark.parametrize("mix", [NONE, FAST])
def test_a_lasting_change_seen_in_one_tier_is_followed_in_all(mix: tuple[int, int], factor: float):
    pool = taught(*[NONE, FAST] * 10)
    for _ in range(20):
        pool.learn(JOB, made(JOB, mix, slower(TRUTH, factor)))
    for other in (NONE, SLOW, FAST, ULTRA):
        found = made(JOB, other, pool.speed(JOB)).busy_s
        assert found == pytest.approx(made(JOB, other, slower(TRUTH, factor)).busy_s, rel=0.1)


def test_a_first_job_that_compiled_is_forgotten_with_the_second():
    pool = PoolSpeed(JOB, made(JOB, FAST, slower(TRUTH, 20)))
    pool.learn(JOB, made(JOB, FAST))
    assert made(JOB, FAST, pool.speed(JOB)).busy_s == pytest.approx(made(JOB, FAST).busy_s)


@pytest.mark.parametrize(
    ("width", "height", "frames", "scale"),
    [(1024, 512, None, 2), (256, 256, None, 1 / 4), (512, 512, 9, 9)],
)
def test_steps_and_decoding_of_another_size_go_by_the_pixels_of_all_frames(
    width: int, height: int, frames: int | None, scale: float
):
    pool = taught(NONE, NONE)
    found = pool.speed(dataclasses.replace(JOB, width=width, height=height, num_frames=frames))
    assert found.step_s == pytest.approx(scale * TRUTH.step_s)
    assert found.decode_s == pytest.approx(scale * TRUTH.decode_s)
    assert found.encode_s == pytest.approx(TRUTH.encode_s)
    assert found.stretch == pytest.approx(math.sqrt(max(scale, 1 / scale)))


def test_what_was_measured_at_its_own_size_is_not_stretched():
    assert taught(NONE).speed(JOB).stretch == 1


def test_of_several_sizes_the_nearest_counts():
    pool = taught(NONE)
    small, large = (dataclasses.replace(JOB, width=side, height=side) for side in (128, 2048))
    pool.learn(small, made(small, NONE, slower(TRUTH, 0.5)))
    pool.learn(large, made(large, NONE, slower(TRUTH, 30)))
    found = pool.speed(dataclasses.replace(JOB, width=1536, height=1536))
    assert found.step_s == pytest.approx(30 * TRUTH.step_s * (1536 / 2048) ** 2)


def test_guidance_doubles_a_step_until_a_guided_job_tells_otherwise():
    pool = taught(NONE)
    assert pool.speed(GUIDED).step_s == pytest.approx(2 * TRUTH.step_s)
    assert pool.speed(GUIDED).decode_s == pytest.approx(TRUTH.decode_s)
    pool.learn(GUIDED, made(GUIDED, NONE, slower(TRUTH, 1.7)))
    assert pool.speed(GUIDED).step_s == pytest.approx(1.7 * TRUTH.step_s)
    assert pool.speed(JOB).step_s == pytest.approx(TRUTH.step_s)


def test_a_guided_job_goes_by_guided_ones_even_of_another_size():
    pool = taught(NONE)
    small = dataclasses.replace(GUIDED, width=128, height=128)
    pool.learn(small, made(small, NONE, slower(TRUTH, 0.1)))
    assert pool.speed(GUIDED).step_s == pytest.approx(16 * 0.1 * TRUTH.step_s)


def test_the_sizes_measured_last_are_remembered():
    pool = taught(NONE)
    for index in range(SIZES_KEPT):
        job = dataclasses.replace(JOB, width=1024 + 16 * index)
        pool.learn(job, made(job, NONE))
    assert pool.speed(JOB).stretch > 1
    assert pool.speed(dataclasses.replace(JOB, width=1024)).stretch == 1
