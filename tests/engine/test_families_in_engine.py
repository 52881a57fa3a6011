"""Each family in the engine of one process: plain diffusers at `none`, videos, edits."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.acceleration import ParallelismConfig
from cluster.errors import InvalidRequest
from cluster.job import Job
from cluster.tasks import Task
from cluster.tiers import Tier
from deployments.engine import EngineSpec, build_engine
from tests.engine.conftest import onward
from tests.engine.test_parallel import MASK, STEPS, job_of, spec_of
from tests.engine.worlds import WorldFailed, run_world
from tests.families import FAMILIES, Family
from tests.families.family import picture_file

pytestmark = pytest.mark.filterwarnings("ignore")

Folders = Callable[[str], Path]
ALONE = ParallelismConfig()


def _plain_and_none(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, job: Job, arguments: dict[str, Any]
) -> tuple[Any, Any]:
    import torch
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(
        spec.source, dtype=torch.float32, local_files_only=True
    )
    output = pipeline(
        **arguments,
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(job.seed),
        output_type="np",
    )
    engine: Any = build_engine(spec)
    engine.warm_up()
    (values,), _ = engine.render(job, Tier.NONE, onward)
    return (output.frames if hasattr(output, "frames") else output.images)[0], values


@pytest.mark.parametrize("guided", [False, True], ids=["single", "guided"])
@pytest.mark.parametrize("name", FAMILIES)
def test_none_equals_plain_diffusers_bit_for_bit(
    name: str, guided: bool, family_folders: Folders
) -> None:
    family = FAMILIES[name]
    spec, job = spec_of(family, family_folders(name), ALONE), job_of(family, guided=guided)
    arguments = family.call_arguments(guided=guided)
    ((plain, ours),) = run_world(_plain_and_none, 1, spec, job, arguments)
    assert np.array_equal(ours, plain)


def _generated(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, job: Job, tier: Tier
) -> tuple[bytes, int, int] | str:
    engine = build_engine(spec)
    try:
        result = engine.generate(job, tier, onward)
    except InvalidRequest as refusal:
        return refusal.message
    return result.images[0], result.steps_computed, result.steps_cached


def generated(family: Family, folders: Folders, job: Job) -> Any:
    (answer,) = run_world(
        _generated, 1, spec_of(family, folders(family.name), ALONE), job, Tier.ULTRA
    )
    return answer


@pytest.mark.parametrize("name", ["wan2.1", "wan2.2", "hunyuan-video"])
def test_a_video_is_an_animation_of_its_frames(name: str, family_folders: Folders) -> None:
    family = FAMILIES[name]
    job = job_of(family, guided=False, num_frames=9, fps=8)
    file, computed, cached = generated(family, family_folders, job)
    clip: Any = Image.open(io.BytesIO(file))
    assert (clip.format, clip.size, clip.n_frames) == ("WEBP", (64, 64), 9)
    clip.seek(1)
    clip.load()
    assert clip.info["duration"] == 125
    assert computed + cached == STEPS
    assert cached > 0


def test_two_transformers_share_one_mask_and_each_computes_its_first_step(
    family_folders: Folders,
) -> None:
    """Wan 2.2: the second transformer begins within the cached part of the mask."""
    family = FAMILIES["wan2.2"]
    _, computed, _ = generated(family, family_folders, job_of(family, guided=False))
    assert computed in (sum(MASK), sum(MASK) + 1)


@pytest.mark.parametrize(
    ("name", "frames", "words"),
    [("flux", 5, "takes no default_frames"), ("wan2.1", None, "needs default_frames")],
)
def test_a_model_said_to_make_what_it_does_not_is_refused(
    family_folders: Folders, name: str, frames: int | None, words: str
) -> None:
    job = job_of(FAMILIES[name], guided=False, num_frames=frames)
    with pytest.raises(WorldFailed, match=f"ConfigError: {name}: .* {words}"):
        generated(FAMILIES[name], family_folders, job)


def test_frames_that_the_autoencoder_cannot_make_are_refused(family_folders: Folders) -> None:
    family = FAMILIES["wan2.1"]
    refusal = generated(family, family_folders, job_of(family, guided=False, num_frames=6))
    assert refusal.startswith("num_frames: wan2.1 makes clips of 1 frame and a multiple of 4")


def _edits(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, jobs: list[Job]
) -> list[tuple[bytes, ...] | str]:
    engine = build_engine(spec)
    answers: list[tuple[bytes, ...] | str] = []
    for job in jobs:
        try:
            answers.append(engine.generate(job, Tier.NONE, onward).images)
        except InvalidRequest as refusal:
            answers.append(refusal.message)
    return answers


def test_each_picture_that_an_edit_looks_at_counts(family_folders: Folders) -> None:
    """FLUX.2 takes up to four, of any shape but a very narrow one, and may go without."""
    family = FAMILIES["flux2-klein"]
    gray, wide, narrow = (
        picture_file(Image.new("RGB", size, "gray")) for size in ((64, 64), (90, 20), (900, 20))
    )
    brought: list[tuple[bytes, ...]] = [(), (gray,), (gray, wide), (gray,) * 5, (narrow,)]
    text = job_of(family, guided=False)
    jobs = [
        dataclasses.replace(
            text, images=images, task=Task.IMAGE_EDITING if images else Task.TEXT_TO_IMAGE
        )
        for images in brought
    ]
    spec = spec_of(family, family_folders(family.name), ALONE)
    ((without, one, two, five, too_narrow),) = run_world(_edits, 1, spec, jobs)
    assert len({without, one, two}) == 3
    assert "begins from at most 4, not 5" in five
    assert "900x20 is too narrow" in too_narrow
