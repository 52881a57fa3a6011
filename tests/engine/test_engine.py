"""The engine's promises, on the embedded model: exactness, repeatability, tiers per request."""

from __future__ import annotations

import dataclasses
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.errors import ConfigError, InvalidRequest
from cluster.job import Job
from cluster.load import load_config
from cluster.tiers import Tier
from deployments.engine import Engine, EngineSpec, Stopped, build_engine
from deployments.fidelity import psnr_db
from tests.engine.conftest import onward

pytestmark = pytest.mark.filterwarnings("ignore")

MakeJob = Callable[..., Job]


def picture(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file))


@pytest.fixture(scope="module")
def plain(spec: EngineSpec) -> Any:
    """The same weights in bare diffusers, without cache-dit."""
    import torch
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(
        spec.source, local_files_only=True, dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)

    def generate(job: Job, **arguments: Any) -> Image.Image:
        return pipeline(
            job.prompt,
            width=job.width,
            height=job.height,
            num_inference_steps=job.num_inference_steps,
            max_sequence_length=spec.max_sequence_length,
            generator=torch.Generator("cpu").manual_seed(job.seed),
            **arguments,
        ).images[0]

    return generate


@pytest.mark.parametrize("steps", [4, 28])
def test_none_equals_plain_diffusers_bit_for_bit(
    engine: Engine, plain: Any, job: MakeJob, steps: int
) -> None:
    wanted = job(num_inference_steps=steps)
    ours = engine.generate(wanted, Tier.NONE, onward)
    assert np.array_equal(np.asarray(picture(ours.images[0])), np.asarray(plain(wanted)))
    assert (ours.steps_computed, ours.steps_cached) == (steps, 0)


def test_none_with_true_cfg_equals_plain_diffusers(
    engine: Engine, plain: Any, job: MakeJob
) -> None:
    guidance = {"true_cfg_scale": 2.0, "negative_prompt": "a green star on a black background"}
    wanted = job(num_inference_steps=10, **guidance)
    ours = engine.generate(wanted, Tier.NONE, onward)
    assert np.array_equal(
        np.asarray(picture(ours.images[0])), np.asarray(plain(wanted, **guidance))
    )


def test_the_same_request_gives_the_same_bytes_whatever_came_between(
    engine: Engine, job: MakeJob, with_cache: Callable[..., None]
) -> None:
    first = [engine.generate(job(), tier, onward).images for tier in Tier]
    with_cache(enable_taylorseer=True, taylorseer_order=2, steps_computation_policy="static")
    engine.generate(job(num_inference_steps=13, seed=9), Tier.ULTRA, onward)
    with_cache()
    assert [engine.generate(job(), tier, onward).images for tier in reversed(Tier)] == first[::-1]


@pytest.mark.parametrize(
    ("steps", "computed"),
    [(28, [28, 18, 15, 11, 8]), (50, [50, 38, 29, 20, 14]), (8, [8, 7, 6, 5, 4])],
)
def test_a_static_mask_computes_just_its_steps(
    engine: Engine,
    job: MakeJob,
    with_cache: Callable[..., None],
    steps: int,
    computed: list[int],
) -> None:
    with_cache(steps_computation_policy="static")
    results = [engine.generate(job(num_inference_steps=steps), tier, onward) for tier in Tier]
    assert [result.steps_computed for result in results] == computed
    assert all(result.steps_computed + result.steps_cached == steps for result in results)


def test_a_dynamic_mask_computes_a_step_whose_residual_differs_too_much(
    engine: Engine, job: MakeJob, with_cache: Callable[..., None]
) -> None:
    with_cache(residual_diff_threshold=0.0, steps_computation_policy="dynamic")
    strict = engine.generate(job(), Tier.ULTRA, onward)
    with_cache(residual_diff_threshold=0.9, steps_computation_policy="dynamic")
    loose = engine.generate(job(), Tier.ULTRA, onward)
    assert (strict.steps_cached, loose.steps_cached) == (0, 20)
    assert 0 < min(loose.residual_diffs[0].values()) < 0.9


def test_lower_tiers_are_farther_from_none(
    engine: Engine, job: MakeJob, with_cache: Callable[..., None]
) -> None:
    with_cache(steps_computation_policy="static")
    pictures = {tier: picture(engine.generate(job(), tier, onward).images[0]) for tier in Tier}
    distance = {tier: psnr_db(pictures[tier], pictures[Tier.NONE]) for tier in Tier}
    assert distance[Tier.SLOW] > distance[Tier.FAST] > distance[Tier.ULTRA]


def test_taylorseer_changes_cached_steps_and_not_none(
    engine: Engine, job: MakeJob, with_cache: Callable[..., None]
) -> None:
    with_cache(enable_taylorseer=False)
    without = [engine.generate(job(), tier, onward).images for tier in (Tier.NONE, Tier.FAST)]
    with_cache(enable_taylorseer=True)
    seer = [engine.generate(job(), tier, onward).images for tier in (Tier.NONE, Tier.FAST)]
    assert without[0] == seer[0]
    assert without[1] != seer[1]


def test_under_eight_steps_the_mask_is_off_and_the_result_says_so(
    engine: Engine, job: MakeJob, with_cache: Callable[..., None]
) -> None:
    with_cache(residual_diff_threshold=10.0, max_warmup_steps=2)
    result = engine.generate(job(num_inference_steps=6), Tier.ULTRA, onward)
    assert "no step mask under 8 steps" in result.notes[0]
    assert result.steps_cached == 4


def test_bins_of_ones_own_make_the_mask_and_bound_the_steps(
    engine: Engine, job: MakeJob, with_cache: Callable[..., None]
) -> None:
    with_cache(scm_compute_bins=[4, 1, 1], scm_cache_bins=[3, 3], steps_computation_policy="static")
    assert engine.generate(job(num_inference_steps=12), Tier.FAST, onward).steps_computed == 6
    with pytest.raises(InvalidRequest, match="at most 12 steps, not 13") as refused:
        engine.generate(job(num_inference_steps=13), Tier.FAST, onward)
    assert refused.value.param == "num_inference_steps"


def test_guidance_in_two_calls_keeps_the_mask_in_step(
    engine: Engine, job: MakeJob, with_cache: Callable[..., None]
) -> None:
    with_cache(steps_computation_policy="static")
    guided = job(true_cfg_scale=2.0, negative_prompt="a green star on a black background")
    result = engine.generate(guided, Tier.ULTRA, onward)
    assert (result.steps_computed, result.steps_cached) == (8, 20)


def test_a_stopped_job_leaves_nothing_behind(engine: Engine, job: MakeJob) -> None:
    before = engine.generate(job(), Tier.FAST, onward).images
    seen: list[int] = []

    def stop_at_nine(done: int, total: int) -> bool:
        seen.append(done)
        return done < 9

    with pytest.raises(Stopped):
        engine.generate(job(seed=8), Tier.FAST, stop_at_nine)
    assert seen == list(range(1, 10))
    assert engine.generate(job(), Tier.FAST, onward).images == before


def test_n_pictures_are_those_of_the_following_seeds(engine: Engine, job: MakeJob) -> None:
    """But for the last bits of floating point, which a batch rounds otherwise."""
    together = engine.generate(job(n=3, seed=5), Tier.FAST, onward)
    alone = [engine.generate(job(seed=seed), Tier.FAST, onward) for seed in (5, 6, 7)]
    for file, single in zip(together.images, alone, strict=True):
        values, expected = (
            np.asarray(picture(each)).astype(int) for each in (file, single.images[0])
        )
        assert np.abs(values - expected).max() <= 1
        assert np.count_nonzero(values != expected) <= 10
    assert together.steps_computed == sum(result.steps_computed for result in alone)


@pytest.mark.parametrize(
    ("output_format", "pillow"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")]
)
def test_pictures_are_whole_files_of_the_format_and_size_asked(
    engine: Engine, job: MakeJob, output_format: str, pillow: str
) -> None:
    wanted = job(output_format=output_format, size="64x96", num_inference_steps=2)
    file = engine.generate(wanted, Tier.NONE, onward).images[0]
    assert (picture(file).format, picture(file).size) == (pillow, (64, 96))


def test_compression_makes_smaller_files(engine: Engine, job: MakeJob) -> None:
    sizes = [
        len(
            engine.generate(
                job(output_format="webp", output_compression=quality), Tier.NONE, onward
            ).images[0]
        )
        for quality in (10, 100)
    ]
    assert sizes[0] < sizes[1]


def test_stage_times_add_up_to_the_work(engine: Engine, job: MakeJob) -> None:
    started = time.perf_counter()
    result = engine.generate(job(), Tier.NONE, onward)
    assert min(result.encode_s, result.denoise_s, result.decode_s) > 0
    assert 0.8 < result.engine_s / (time.perf_counter() - started) <= 1


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("guided", [True, False])
def test_a_stated_separate_cfg_harms_no_request(
    engine: Engine, job: MakeJob, with_cache: Callable[..., None], stated: bool, guided: bool
) -> None:
    with_cache(enable_sperate_cfg=stated, steps_computation_policy="static")
    guidance = {"true_cfg_scale": 2.0, "negative_prompt": "a star"} if guided else {}
    assert engine.generate(job(**guidance), Tier.FAST, onward).steps_computed == 11


def test_a_source_that_is_no_pipeline_is_named(spec: EngineSpec) -> None:
    with pytest.raises(ConfigError, match=r"docs: cannot be loaded as a diffusers pipeline"):
        build_engine(dataclasses.replace(spec, source="docs"))


def test_cuda_without_a_card_is_refused_by_name(spec: EngineSpec) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ConfigError, match="device is cuda, but torch"):
        build_engine(dataclasses.replace(spec, device="cuda"))


def test_the_command_without_a_cluster_refuses_a_pool_of_several_ranks() -> None:
    from deployments.generate import choose_pool

    config = load_config(Path("configs/demo-parallel.yaml"))
    with pytest.raises(ConfigError, match="shapes: every pool that serves fast has replicas of"):
        choose_pool(config, None, Tier.FAST)
