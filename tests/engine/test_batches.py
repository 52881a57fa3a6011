"""Pictures of one job that are made together are those that each seed gives alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from cluster.acceleration import ParallelismConfig
from cluster.errors import EngineFailed
from cluster.job import Job
from cluster.tasks import Task
from cluster.tiers import Tier
from deployments.engine import Engine, EngineSpec, Stopped, World, build_engine
from tests.engine.conftest import onward
from tests.engine.test_edits import edit_of, family_of
from tests.engine.test_parallel import MASK, STEPS, WORLD_S, job_of, spec_of
from tests.engine.worlds import run_world
from tests.families import family_folder

pytestmark = pytest.mark.filterwarnings("ignore")

MakeJob = Callable[..., Job]
TOLERANCE = 1e-5
"""Of values from 0 to 1: what a batch rounds otherwise. Measured up to 7e-6 in every family."""

GUIDANCE = {"true_cfg_scale": 2.0, "negative_prompt": "a green star"}
STATIC = {"steps_computation_policy": "static"}

TEXT, EDIT = Task.TEXT_TO_IMAGE, Task.IMAGE_EDITING
PART_WAY, INPAINT = Task.IMAGE_TO_IMAGE, Task.INPAINTING
TASKS = {
    "flux": (TEXT, PART_WAY, INPAINT),
    "flux-kontext": (TEXT, EDIT, INPAINT),
    "flux-fill": (INPAINT,),
    "flux2-klein": (TEXT, EDIT, INPAINT),
    "qwen-image": (TEXT, PART_WAY, INPAINT),
    "z-image": (TEXT, PART_WAY, INPAINT),
}


@dataclasses.dataclass(frozen=True)
class Compared:
    """By how much each picture of a batch differs from the one alone, and what was told."""

    differences: list[float]
    notes: tuple[str, ...]
    batch_steps: tuple[int, int]
    single_steps: tuple[int, int]


def compare(engine: Any, job: Job, tier: Tier) -> Compared:
    together, told = engine.render(job, tier, onward)
    alone = [
        engine.render(dataclasses.replace(job, n=1, seed=job.seed + index), tier, onward)
        for index in range(job.n)
    ]
    return Compared(
        [
            float(np.abs(ours - values[0]).max())
            for ours, (values, _) in zip(together, alone, strict=True)
        ],
        told.notes,
        (told.steps_computed, told.steps_cached),
        (
            sum(result.steps_computed for _, result in alone),
            sum(result.steps_cached for _, result in alone),
        ),
    )


@pytest.fixture
def batches_of(engine: Engine) -> Iterator[Callable[[int], None]]:
    """Changes `max_batch` of the running engine; undone after the test."""
    spec = engine._spec  # type: ignore[attr-defined]

    def change(max_batch: int) -> None:
        engine._spec = dataclasses.replace(  # type: ignore[attr-defined]
            engine._spec,  # type: ignore[attr-defined]
            max_batch=max_batch,
        )

    yield change
    engine._spec = spec  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("tier", "guided"), [*((tier, False) for tier in Tier), (Tier.SLOW, True), (Tier.FAST, True)]
)
def test_the_pictures_of_a_batch_are_those_of_the_following_seeds(
    engine: Engine, job: MakeJob, tier: Tier, guided: bool
) -> None:
    """On the embedded model, whose better tiers extrapolate with TaylorSeer."""
    wanted = job(n=2, num_inference_steps=8, **GUIDANCE if guided else {})
    found = compare(engine, wanted, tier)
    assert max(found.differences) <= TOLERANCE
    assert found.batch_steps == found.single_steps
    assert found.notes[0].startswith("2 pictures in one batch: ")


def _compared_in_family(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, jobs: list[tuple[Job, Tier]]
) -> list[Compared]:
    engine = build_engine(spec)
    return [compare(engine, job, tier) for job, tier in jobs]


@pytest.mark.parametrize("name", TASKS)
def test_the_same_holds_in_every_family_and_task(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """At `none`, and guided with a static mask. Also where a picture's own encoding is drawn."""
    family = family_of(name)
    folder = family_folder(name, tmp_path_factory.mktemp("batches"))
    jobs = []
    for task in TASKS[name]:
        for tier, guided in ((Tier.NONE, False), (Tier.ULTRA, True)):
            if task is TEXT:
                job = job_of(family, guided=guided, n=2, task=task)
            else:
                job = edit_of(family, task, guided=guided, n=2)
            jobs.append((job, tier))
    (results,) = run_world(
        _compared_in_family, 1, spec_of(family, folder, ParallelismConfig()), jobs
    )
    for (job, tier), found in zip(jobs, results, strict=True):
        assert max(found.differences) <= TOLERANCE, (job.task, tier)
        assert found.batch_steps == found.single_steps
        assert found.notes[-1].startswith("2 pictures in one batch"), (job.task, tier)


def test_what_a_batch_would_decide_together_is_made_one_after_another(
    engine: Engine, job: MakeJob, with_cache: Callable[..., None]
) -> None:
    with_cache(steps_computation_policy="dynamic", residual_diff_threshold=0.2)
    found = compare(engine, job(n=2, num_inference_steps=10), Tier.ULTRA)
    assert found.differences == [0.0, 0.0]
    assert "one after another: with steps_computation_policy dynamic" in found.notes[0]


def test_without_a_mask_pictures_are_made_one_after_another(engine: Engine, job: MakeJob) -> None:
    found = compare(engine, job(n=2, num_inference_steps=6), Tier.ULTRA)
    assert found.differences == [0.0, 0.0]
    assert "under 8 steps there is no mask" in found.notes[1]


def test_the_largest_batch_is_the_pools_and_the_rest_follows(
    engine: Engine, job: MakeJob, batches_of: Callable[[int], None]
) -> None:
    batches_of(2)
    seen: list[tuple[int, int]] = []

    def boundary(done: int, total: int) -> bool:
        seen.append((done, total))
        return True

    found = engine.generate(job(n=3, num_inference_steps=4), Tier.NONE, boundary)
    assert found.notes == (
        "3 pictures in batches of 2 and 1: tier none computes every step; "
        "the last bits may differ from those of pictures made alone",
    )
    assert seen == [(done, 12) for done in (2, 4, 6, 8, 9, 10, 11, 12)]
    assert (found.steps_computed, len(found.images), len(found.residual_diffs)) == (12, 3, 3)


def test_a_batch_is_stopped_as_one(engine: Engine, job: MakeJob) -> None:
    with pytest.raises(Stopped):
        engine.generate(job(n=3, num_inference_steps=4), Tier.NONE, lambda done, total: done < 6)


def _batch_on_rank(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, port: int, job: Job
) -> Any:
    engine: Any = build_engine(spec, World(rank, size, "127.0.0.1", port, timeout_s=WORLD_S))
    values, result = engine.render(job, Tier.ULTRA, onward)
    return values, result.steps_cached


def test_two_ranks_make_the_batch_of_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """With the VAE divided as well, which decodes the pictures one by one."""
    import torch.distributed as dist

    family = family_of("flux")
    folder = family_folder("flux", tmp_path_factory.mktemp("batches"))
    job = job_of(family, guided=True, n=2)
    alone = spec_of(family, folder, ParallelismConfig(), vae_tiling=True)
    pair = spec_of(
        family, folder, ParallelismConfig(ulysses_size=2, extra_parallel_modules=("vae",))
    )
    ((expected, cached),) = run_world(_rendered, 1, alone, job)
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    ranks = run_world(_batch_on_rank, 2, pair, store.port, job)
    assert np.abs(np.stack(ranks[0][0]) - np.stack(expected)).max() <= TOLERANCE
    assert [rank[1] for rank in ranks] == [cached, cached] == [2 * (STEPS - sum(MASK))] * 2


def _rendered(rank: int, size: int, rendezvous: str, spec: EngineSpec, job: Job) -> Any:
    engine: Any = build_engine(spec)
    values, result = engine.render(job, Tier.ULTRA, onward)
    return values, result.steps_cached


def _cuda_words() -> Exception:
    import torch

    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def _cpu_words() -> Exception:
    return RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to")


@pytest.mark.parametrize("error", [_cuda_words, _cpu_words], ids=["cuda", "cpu"])
@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (1, "not enough for a picture of 128x128; ask for a smaller one"),
        (3, "not enough for 3 pictures of 128x128 at once; ask for smaller or fewer ones, or give"),
    ],
)
def test_out_of_memory_says_what_was_too_large_and_harms_no_later_job(
    engine: Engine,
    job: MakeJob,
    error: Callable[[], Exception],
    pictures: int,
    words: str,
) -> None:
    before = engine.generate(job(num_inference_steps=4), Tier.NONE, onward).images
    transformer = engine._pipeline.transformer  # type: ignore[attr-defined]
    calls = 0

    def refuse(module: Any, inputs: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise error()

    # A block, not the transformer itself: within the cache, where half of its state is written.
    block = transformer.single_transformer_blocks[-1]
    handle = block.register_forward_pre_hook(refuse)
    try:
        with pytest.raises(EngineFailed, match=f"out of memory: there was {words}") as failed:
            engine.generate(job(n=pictures, num_inference_steps=4), Tier.NONE, onward)
    finally:
        handle.remove()
    assert failed.value.__context__ is None  # it would keep the memory of the call
    assert engine.generate(job(num_inference_steps=4), Tier.NONE, onward).images == before


def test_a_failure_of_another_kind_keeps_its_cause(engine: Engine, job: MakeJob) -> None:
    def fail(module: Any, inputs: Any) -> None:
        raise RuntimeError("a bad weight")

    handle = engine._pipeline.transformer.register_forward_pre_hook(fail)  # type: ignore[attr-defined]
    try:
        with pytest.raises(EngineFailed, match="failed on this request: a bad weight") as failed:
            engine.generate(job(num_inference_steps=4), Tier.NONE, onward)
    finally:
        handle.remove()
    assert str(failed.value.__cause__) == "a bad weight"


def test_clips_are_made_one_at_a_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    family = family_of("wan2.1")
    folder = family_folder("wan2.1", tmp_path_factory.mktemp("batches"))
    jobs = [(job_of(family, guided=False, n=2), Tier.NONE)]
    ((found,),) = run_world(
        _compared_in_family, 1, spec_of(family, folder, ParallelismConfig()), jobs
    )
    assert found.differences == [0.0, 0.0]
    assert found.notes == ("2 pictures one after another: its pipeline makes one at a time",)
