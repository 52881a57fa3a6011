"""Previews: what they show, what they may cost, and that they change nothing."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.acceleration import ParallelismConfig
from cluster.job import Job
from cluster.preview_steps import Choice
from cluster.tasks import Task
from cluster.tiers import Tier
from deployments.engine import Engine, EngineSpec, World, build_engine
from deployments.fidelity import psnr_db
from tests.engine.conftest import onward
from tests.engine.test_edits import edit_of, family_of
from tests.engine.test_parallel import WORLD_S, job_of, spec_of
from tests.engine.worlds import run_world
from tests.families import family_folder

pytestmark = pytest.mark.filterwarnings("ignore")

MakeJob = Callable[..., Job]
Scaled = Callable[[int | None], None]

TOLERANCE = 1e-5
STEPS = 12
PLANNED = [3, 6, 9]

KNOWN = {
    "flux": (Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINTING),
    "flux-kontext": (Task.IMAGE_EDITING, Task.INPAINTING),
    "flux2-klein": (Task.TEXT_TO_IMAGE, Task.IMAGE_EDITING, Task.INPAINTING),
    "qwen-image": (Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINTING),
    "z-image": (Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINTING),
}


def picture(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file))


@pytest.fixture(scope="module")
def warm(engine: Engine) -> Engine:
    engine.warm_up()
    return engine


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> Scaled:
    """Makes every preview that is due at one scale, whatever it costs; None makes none."""

    def choose(scale: int | None) -> None:
        monkeypatch.setattr(
            "deployments.previews.choose_scale", lambda *asked: Choice(scale, "as the test says")
        )

    return choose


def shown(
    engine: Engine, job: Job, tier: Tier = Tier.NONE
) -> tuple[list[tuple[int, bytes]], tuple[bytes, ...]]:
    """The previews with the steps after which they came, and the pictures."""
    steps_done = 0
    previews: list[tuple[int, bytes]] = []

    def boundary(done: int, total: int) -> bool:
        nonlocal steps_done
        steps_done = done
        return True

    result = engine.generate(job, tier, boundary, lambda file: previews.append((steps_done, file)))
    return previews, result.images


@pytest.fixture
def wanting(job: MakeJob) -> MakeJob:
    """A job that wants previews, three unless it says otherwise."""

    def make(partial_images: int = 3, **fields: Any) -> Job:
        wanted = job(**{"num_inference_steps": STEPS} | fields)
        return dataclasses.replace(wanted, partial_images=partial_images)

    return make


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(
    ("output_format", "pillow"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")]
)
def test_previews_are_whole_files_of_the_format_and_size_of_the_picture(
    warm: Engine, wanting: MakeJob, scaled: Scaled, scale: int, output_format: str, pillow: str
) -> None:
    scaled(scale)
    previews, _ = shown(warm, wanting(output_format=output_format, size="64x96"))
    assert [step for step, _ in previews] == PLANNED
    assert {(picture(file).format, picture(file).size) for _, file in previews} == {
        (pillow, (64, 96))
    }


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_there_are_no_more_than_wanted(
    warm: Engine, wanting: MakeJob, scaled: Scaled, wanted: int
) -> None:
    scaled(2)
    assert len(shown(warm, wanting(partial_images=wanted))[0]) == wanted


@pytest.mark.parametrize("tier", [Tier.NONE, Tier.ULTRA])
def test_they_show_what_the_picture_becomes_and_ever_more_of_it(
    warm: Engine, wanting: MakeJob, scaled: Scaled, tier: Tier
) -> None:
    scaled(1)
    previews, (file,) = shown(warm, wanting(num_inference_steps=28), tier)
    nearness = [psnr_db(picture(preview), picture(file)) for _, preview in previews]
    assert nearness == sorted(nearness)
    assert nearness[0] > 28


def test_of_averaged_latents_they_are_like_it_still(
    warm: Engine, wanting: MakeJob, scaled: Scaled
) -> None:
    scaled(2)
    previews, (file,) = shown(warm, wanting(num_inference_steps=28))
    assert min(psnr_db(picture(preview), picture(file)) for _, preview in previews) > 20


@pytest.mark.parametrize("tier", [Tier.NONE, Tier.FAST])
@pytest.mark.parametrize("n", [1, 2])
def test_the_pictures_are_the_same_with_previews_and_without(
    warm: Engine, wanting: MakeJob, scaled: Scaled, tier: Tier, n: int
) -> None:
    scaled(1)
    _, without = shown(warm, wanting(partial_images=0, n=n), tier)
    previews, pictures = shown(warm, wanting(n=n), tier)
    assert len(previews) == 3
    assert pictures == without


def test_of_several_pictures_the_first_is_shown(
    warm: Engine, wanting: MakeJob, scaled: Scaled
) -> None:
    scaled(1)
    of_batch, _ = shown(warm, wanting(n=2, partial_images=1))
    of_one, _ = shown(warm, wanting(partial_images=1))
    assert psnr_db(picture(of_batch[0][1]), picture(of_one[0][1])) > 60


def test_what_takes_too_much_of_the_time_is_not_shown(
    warm: Engine, wanting: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    previews = warm._previews  # type: ignore[attr-defined]
    monkeypatch.setattr(previews, "costs_s", lambda job: {1: 10.0, 2: 5.0})
    assert shown(warm, wanting())[0] == []
    monkeypatch.setattr(previews, "costs_s", lambda job: {1: 10.0, 2: 1e-6})
    assert [step for step, _ in shown(warm, wanting(partial_images=1))[0]] == [6]


def test_warming_up_tells_what_they_cost(warm: Engine, wanting: MakeJob) -> None:
    costs_s = warm._previews.costs_s(wanting())  # type: ignore[attr-defined]
    assert costs_s[1] > costs_s[2] > 0
    larger = warm._previews.costs_s(  # type: ignore[attr-defined]
        dataclasses.replace(wanting(), width=256)
    )
    assert larger[2] == pytest.approx(2 * costs_s[2])


def test_the_prediction_is_exact_on_the_line_from_noise_to_picture() -> None:
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler

    from deployments.clean_latents import predicted_clean

    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(10)
    clean, noise = (torch.randn(1, 16, 4, generator=torch.manual_seed(i)) for i in (0, 1))
    latents = noise
    for timestep in scheduler.timesteps:
        after = scheduler.step(noise - clean, timestep, latents, return_dict=False)[0]
        assert (predicted_clean(scheduler, latents, after) - clean).abs().max() < 1e-4
        latents = after


class _AtTheEnd:
    """Decodes what is predicted after the last step, as a preview of full size is decoded."""

    def __init__(self, engine: Any, job: Job) -> None:
        self._engine, self._job = engine, job
        self._before: Any = None
        self.decoded: Any = None

    def look(self, pipeline: Any, steps_done: int, latents: Any, began_s: float) -> None:
        from deployments.clean_latents import for_vae, predicted_clean

        if steps_done == self._job.steps:
            own = self._engine._pipeline
            predicted = predicted_clean(pipeline.scheduler, self._before, latents)
            found = own.vae.decode(
                for_vae(own, predicted, self._job.width, self._job.height), return_dict=False
            )[0]
            found = found[:, :, 0] if found.ndim == 5 else found
            self.decoded = (found[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).numpy()
        self._before = latents


def _last_prediction(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, jobs: list[Job]
) -> list[float]:
    engine: Any = build_engine(spec)
    differences = []
    for job in jobs:
        watcher = _AtTheEnd(engine, job)
        (values,), _ = engine._render(job, Tier.ULTRA, onward, watcher)
        differences.append(float(np.abs(watcher.decoded - values).max()))
    return differences


@pytest.mark.parametrize("name", KNOWN)
def test_after_the_last_step_the_prediction_is_the_picture(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """So latents are unpacked and scaled as each family does it, in each of its tasks."""
    family = family_of(name)
    folder = family_folder(name, tmp_path_factory.mktemp("previews"))
    size = {"width": 64, "height": 96}
    jobs = [
        job_of(family, guided=False, **size)
        if task is Task.TEXT_TO_IMAGE
        else edit_of(family, task, guided=True)
        for task in KNOWN[name]
    ]
    (differences,) = run_world(
        _last_prediction, 1, spec_of(family, folder, ParallelismConfig()), jobs
    )
    assert dict(zip(KNOWN[name], differences, strict=True)) == {
        task: pytest.approx(0.0, abs=TOLERANCE) for task in KNOWN[name]
    }


def _with_and_without(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, port: int, job: Job
) -> tuple[int, bool]:
    """How many previews a rank showed, and whether its pictures stayed the same."""
    import deployments.previews as previews

    previews.choose_scale = lambda *asked: Choice(1, "as the test says")  # type: ignore[assignment]
    world = World(rank, size, "127.0.0.1", port, timeout_s=WORLD_S) if size > 1 else None
    engine: Any = build_engine(spec, world)
    engine.warm_up()
    without = engine.generate(dataclasses.replace(job, partial_images=0), Tier.ULTRA, onward)
    files: list[bytes] = []
    shown = engine.generate(job, Tier.ULTRA, onward, files.append)
    return len(files), shown.images == without.images


@pytest.mark.parametrize(
    ("parallelism", "previews"),
    [
        (ParallelismConfig(ulysses_size=2), 2),
        (ParallelismConfig(ulysses_size=2, extra_parallel_modules=("vae",)), 0),
    ],
    ids=["vae on rank 0", "vae divided"],
)
def test_of_several_ranks_the_first_shows_previews_where_it_decodes_alone(
    tmp_path_factory: pytest.TempPathFactory, parallelism: ParallelismConfig, previews: int
) -> None:
    import torch.distributed as dist

    family = family_of("flux")
    folder = family_folder("flux", tmp_path_factory.mktemp("previews"))
    job = job_of(family, guided=False, partial_images=3)
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    spec = spec_of(family, folder, parallelism)
    ranks = run_world(_with_and_without, 2, spec, store.port, job)
    assert ranks == [(previews, True), (0, True)]


def test_a_family_whose_latents_are_not_known_shows_none_and_does_the_job(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    family = family_of("wan2.1")
    folder = family_folder("wan2.1", tmp_path_factory.mktemp("previews"))
    spec = spec_of(family, folder, ParallelismConfig())
    job = job_of(family, guided=False, partial_images=3)
    assert run_world(_with_and_without, 1, spec, 0, job) == [(0, True)]


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_there_are_none_while_the_vae_is_off_the_device(
    engine: Engine, spec: EngineSpec, offload: str
) -> None:
    from deployments.previews import previews_of

    pipeline = engine._pipeline  # type: ignore[attr-defined]
    assert previews_of(pipeline, spec) is not None
    assert previews_of(pipeline, dataclasses.replace(spec, offload=offload)) is None
