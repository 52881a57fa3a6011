"""Pictures that begin from pictures, and clips from a first frame, in the engine."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.acceleration import ParallelismConfig
from cluster.job import Job
from cluster.tasks import PIPELINES, Task
from cluster.tiers import Tier
from deployments.engine import EngineSpec, build_engine
from tests.engine.conftest import onward
from tests.engine.test_parallel import MASK, STEPS, TOLERANCE, draw, job_of, spec_of
from tests.engine.worlds import WorldFailed, run_world
from tests.families import FAMILIES, FROM_PICTURES, Family, family_folder
from tests.families.family import mask, mask_file, picture, picture_file

pytestmark = pytest.mark.filterwarnings("ignore")

Folder = Callable[[Family], Path]

ALONE = ParallelismConfig()
PART_WAY = {"num_inference_steps": 8, "strength": 0.6}
"""Runs the last five steps of eight: as many as the mask of the tests has."""
WHOLLY = {"num_inference_steps": STEPS, "strength": 1.0}

CACHED = [step for step, computed in enumerate(MASK) if not computed]

CASES = {
    "flux": (Task.IMAGE_TO_IMAGE, Task.INPAINTING),
    "flux-kontext": (Task.IMAGE_EDITING, Task.INPAINTING),
    "flux-fill": (Task.INPAINTING,),
    "flux2-klein": (Task.IMAGE_EDITING, Task.INPAINTING),
    "qwen-image": (Task.IMAGE_TO_IMAGE, Task.INPAINTING),
    "z-image": (Task.IMAGE_TO_IMAGE, Task.INPAINTING),
    "wan2.1-i2v": (Task.IMAGE_TO_VIDEO,),
    "wan2.2-i2v": (Task.IMAGE_TO_VIDEO,),
    "skyreels-i2v": (Task.IMAGE_TO_VIDEO,),
}


@dataclasses.dataclass(frozen=True)
class Edited:
    """What became of one job: the values of plain diffusers' own pipeline, and the engine's.

    `cached` are the steps that the static tier took from the cache, by transformer.
    """

    plain: Any
    ours: Any
    cached: tuple[list[int], ...]
    shares_its_modules: bool


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    base = tmp_path_factory.mktemp("edits")

    def made(family: Family) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return family_folder(family.name, base)

    return made


def family_of(name: str) -> Family:
    return (FAMILIES | FROM_PICTURES)[name]


def edit_of(family: Family, task: Task, *, guided: bool, **fields: Any) -> Job:
    """A job of the task that begins from a picture of its size; part way where that can be."""
    brought: dict[str, Any] = {"task": task, "images": (picture_file(),)}
    if task is Task.INPAINTING:
        brought["mask"] = mask_file()
    if task.starts_part_way:
        brought |= WHOLLY if guided else PART_WAY
    return job_of(family, guided=guided, **brought | fields)


def plain_arguments(family: Family, job: Job, *, guided: bool) -> dict[str, Any]:
    """What diffusers' own pipeline is called with for the same."""
    arguments = family.call_arguments(guided=guided) | {
        "image": picture(),
        "num_inference_steps": job.num_inference_steps,
    }
    if job.strength is not None:
        arguments["strength"] = job.strength
    if job.task is Task.INPAINTING:
        arguments["mask_image"] = mask()
    return arguments


def _plain(spec: EngineSpec, kind: str, seed: int, arguments: Mapping[str, Any]) -> Any:
    import diffusers
    import torch

    pipeline = getattr(diffusers, kind).from_pretrained(
        spec.source, dtype=torch.float32, local_files_only=True
    )
    output = pipeline(**arguments, generator=torch.Generator().manual_seed(seed), output_type="np")
    return (output.frames if hasattr(output, "frames") else output.images)[0]


def _edited(
    rank: int,
    size: int,
    rendezvous: str,
    spec: EngineSpec,
    cases: list[tuple[str, Job, dict[str, Any]]],
) -> list[Edited]:
    engine: Any = build_engine(spec)
    engine.warm_up()
    found = []
    for kind, job, arguments in cases:
        (ours,), _ = engine.render(job, Tier.NONE, onward)
        engine.render(job, Tier.ULTRA, onward)
        sibling = engine._calls.pipeline_for(job.task)
        found.append(
            Edited(
                plain=_plain(spec, kind, job.seed, arguments),
                ours=ours,
                cached=tuple(_cached_steps(each.module) for each in engine._cached),
                shares_its_modules=type(sibling).__name__ == kind
                and all(
                    part is engine._pipeline.components[name]
                    for name, part in sibling.components.items()
                    if name != "scheduler"
                ),
            )
        )
    return found


def _cached_steps(transformer: Any) -> list[int]:
    """The steps of it that every list of blocks took from the cache, in all of its calls."""
    contexts = [
        transformer._context_manager._cached_context_manager[name]
        for name in transformer._context_names
    ]
    cached = [set(context.cached_steps) for context in contexts]
    cached += [
        set(context.cfg_cached_steps)
        for context in contexts
        if context.cache_config.enable_separate_cfg
    ]
    return sorted(set.intersection(*cached))


@pytest.fixture(scope="module")
def edited(folder: Folder) -> Callable[[str, Task, bool], Edited]:
    """What became of a task in a family, with guidance or not; all of a family are done at once."""
    known: dict[tuple[str, Task, bool], Edited] = {}

    def look_up(name: str, task: Task, guided: bool) -> Edited:
        if (name, task, guided) not in known:
            family = family_of(name)
            keys = [(name, each, way) for each in CASES[name] for way in (False, True)]
            jobs = [edit_of(family, each, guided=way) for _, each, way in keys]
            cases = [
                (
                    PIPELINES[family.pipeline][job.task],
                    job,
                    plain_arguments(family, job, guided=way),
                )
                for job, (_, _, way) in zip(jobs, keys, strict=True)
            ]
            (results,) = run_world(_edited, 1, spec_of(family, folder(family), ALONE), cases)
            known.update(zip(keys, results, strict=True))
        return known[name, task, guided]

    return look_up


every_case = pytest.mark.parametrize(
    ("name", "task", "guided"),
    [(name, task, guided) for name in CASES for task in CASES[name] for guided in (False, True)],
    ids=[
        f"{name}-{task}-{'guided' if guided else 'single'}"
        for name in CASES
        for task in CASES[name]
        for guided in (False, True)
    ],
)


@every_case
def test_none_equals_plain_diffusers_sibling_bit_for_bit(
    edited: Callable[[str, Task, bool], Edited], name: str, task: Task, guided: bool
) -> None:
    found = edited(name, task, guided)
    assert found.shares_its_modules
    assert np.array_equal(found.ours, found.plain)


@every_case
def test_a_static_tier_caches_just_the_steps_of_its_mask(
    edited: Callable[[str, Task, bool], Edited], name: str, task: Task, guided: bool
) -> None:
    """Under guidance in both calls, and at a strength counted from the first step that is run."""
    found = edited(name, task, guided)
    if len(found.cached) == 1:
        assert found.cached[0] == CACHED
    else:
        assert sum(map(len, found.cached)) in (len(CACHED), len(CACHED) - 1)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("flux", Task.INPAINTING),
        ("flux-kontext", Task.IMAGE_EDITING),
        ("wan2.2-i2v", Task.IMAGE_TO_VIDEO),
    ],
)
def test_two_ranks_draw_what_one_process_draws(name: str, task: Task, folder: Folder) -> None:
    family = family_of(name)
    jobs = {
        tier: edit_of(family, task, guided=tier is Tier.ULTRA) for tier in (Tier.NONE, Tier.ULTRA)
    }
    (alone,) = draw(spec_of(family, folder(family), ALONE), jobs)
    ranks = draw(spec_of(family, folder(family), ParallelismConfig(ulysses_size=2)), jobs)
    assert ranks[0].tokens * 2 == alone.tokens
    for tier, (expected, cached, _) in alone.pictures.items():
        values, cached_by_two, _ = ranks[0].pictures[tier]
        assert np.abs(values - expected).max() <= TOLERANCE, tier
        assert cached_by_two == cached
        assert (cached > 0) == (tier is not Tier.NONE)


def test_a_length_of_text_that_wan_2_1_would_misread_is_refused(folder: Folder) -> None:
    family = family_of("wan2.1-i2v")
    spec = spec_of(family, folder(family), ALONE, max_sequence_length=256)
    with pytest.raises(WorldFailed, match=r"ConfigError: .* beside a text of 512 tokens"):
        run_world(_edited, 1, spec, [])


def _with_offload(
    rank: int, size: int, rendezvous: str, specs: list[EngineSpec], jobs: list[Job]
) -> list[list[Any]]:
    engines: list[Any] = [build_engine(spec) for spec in specs]
    return [[engine.render(job, Tier.NONE, onward)[0][0] for job in jobs] for engine in engines]


def test_a_sibling_keeps_the_offload_of_its_modules(folder: Folder) -> None:
    """A text and an edit in turn: what the one sends away the other calls back."""
    family = family_of("flux")
    text = job_of(family, guided=False)
    edit = edit_of(family, Task.INPAINTING, guided=True)
    specs = [
        spec_of(family, folder(family), ALONE, offload=mode)
        for mode in ("none", "text_encoder", "model")
    ]
    ((plain, *offloaded),) = run_world(_with_offload, 1, specs, [text, edit, text, edit])
    for drawn in offloaded:
        assert all(map(np.array_equal, drawn, plain))
