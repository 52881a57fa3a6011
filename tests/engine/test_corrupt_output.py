"""Results that cannot be right are kept back, said why, and harm no later job."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.acceleration import ParallelismConfig
from cluster.errors import OutputCorrupt
from cluster.job import Job
from cluster.preview_steps import Choice
from cluster.results import ResultsConfig
from cluster.tasks import Task
from cluster.tiers import Tier
from deployments.engine import Engine, EngineSpec, build_engine
from deployments.pictures import encode
from tests.engine.conftest import onward
from tests.engine.spoiled import Outcome, bad_step, decoded_as, outcome, parts, poisoned
from tests.engine.test_edits import family_of
from tests.engine.test_parallel import STEPS, job_of, spec_of
from tests.engine.worlds import run_world
from tests.families import family_folder

pytestmark = pytest.mark.filterwarnings("ignore")

MakeJob = Callable[..., Job]


@pytest.fixture
def job(job: MakeJob) -> MakeJob:
    """Of 64 x 64 pixels and few steps, unless it says otherwise."""
    return lambda **fields: job(**{"size": "64x64", "num_inference_steps": 4} | fields)


@pytest.mark.parametrize(
    ("step", "value", "told_after"),
    [(1, math.nan, 8), (3, math.inf, 8), (9, -math.inf, 16), (20, math.nan, 20)],
)
def test_a_step_that_gives_no_numbers_is_named_and_ends_the_job_soon(
    engine: Engine, job: MakeJob, step: int, value: float, told_after: int
) -> None:
    wanted = job(num_inference_steps=20)
    before = engine.generate(wanted, Tier.NONE, onward).images
    seen: list[int] = []

    def boundary(done: int, total: int) -> bool:
        seen.append(done)
        return True

    with (
        bad_step(parts(engine)[0], step, value),
        pytest.raises(OutputCorrupt) as refused,
    ):
        engine.generate(wanted, Tier.NONE, boundary)
    assert str(refused.value) == (
        f"corrupt output in tier none: the latents after step {step} of 20 "
        "are not all finite numbers"
    )
    assert seen[-1] == told_after
    assert engine.generate(wanted, Tier.NONE, onward).images == before


@pytest.mark.parametrize("tier", [Tier.NONE, Tier.SLOW, Tier.ULTRA])
def test_a_weight_that_is_no_number_spoils_every_tier_and_the_proof(
    engine: Engine, job: MakeJob, tier: Tier
) -> None:
    wanted = job(num_inference_steps=8)
    before = engine.generate(wanted, tier, onward).images
    with poisoned(parts(engine)[0].proj_out.weight, math.nan):
        with pytest.raises(OutputCorrupt, match=rf"in tier {tier}: the latents after step 1 of"):
            engine.generate(wanted, tier, onward)
        with pytest.raises(OutputCorrupt):
            engine.warm_up()
    assert engine.generate(wanted, tier, onward).images == before


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (math.nan, "what the VAE decoded is not all finite numbers"),
        (math.inf, "what the VAE decoded is not all finite numbers"),
        (-math.inf, "what the VAE decoded is not all finite numbers"),
        (-30.0, "a picture is black all over"),
    ],
)
@pytest.mark.parametrize("n", [1, 5])
def test_what_a_vae_spoils_is_kept_back_and_not_stored(
    engine: Engine,
    job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    value: float,
    fault: str,
    n: int,
) -> None:
    from deployments.results import ResultStore

    store = ResultStore(ResultsConfig(url=str(tmp_path)))
    monkeypatch.setattr(engine, "_results", store)
    wanted = dataclasses.replace(job(n=n), store_as="images/img_1")
    with decoded_as(parts(engine)[1], value), pytest.raises(OutputCorrupt, match=fault):
        engine.generate(wanted, Tier.NONE, onward)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert len(engine.generate(wanted, Tier.NONE, onward).stored) == n


@pytest.mark.parametrize("value", [30.0, -0.99, 0.0])
def test_a_plain_picture_of_another_colour_is_a_picture(
    engine: Engine, job: MakeJob, value: float
) -> None:
    with decoded_as(parts(engine)[1], value):
        assert len(engine.generate(job(), Tier.NONE, onward).images) == 1


def test_what_is_made_of_a_black_picture_may_be_black(engine: Engine, job: MakeJob) -> None:
    edit = dataclasses.replace(
        job(),
        task=Task.IMAGE_TO_IMAGE,
        images=(encode([Image.new("RGB", (64, 64))], "png", None, 1),),
        strength=0.5,
    )
    with decoded_as(parts(engine)[1], -30.0):
        assert len(engine.generate(edit, Tier.NONE, onward).images) == 1


@pytest.mark.parametrize("what", ["latents", "VAE"])
def test_previews_of_what_is_spoiled_are_not_shown(
    engine: Engine, job: MakeJob, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Of the planned ones, after steps 3, 6 and 9, the first comes before the fault is known."""
    monkeypatch.setattr(
        "deployments.previews.choose_scale", lambda *asked: Choice(1, "as the test says")
    )
    transformer, vae = parts(engine)
    wanted = dataclasses.replace(job(num_inference_steps=12), partial_images=3)
    shown: list[bytes] = []
    fault = bad_step(transformer, 2, math.nan) if what == "latents" else decoded_as(vae, math.nan)
    with fault, pytest.raises(OutputCorrupt):
        engine.generate(wanted, Tier.NONE, onward, shown.append)
    assert shown == []
    assert engine.generate(wanted, Tier.NONE, onward, shown.append)
    assert len(shown) == 3


def _clips(rank: int, size: int, rendezvous: str, spec: EngineSpec, job: Job) -> list[Outcome]:
    engine: Any = build_engine(spec)
    transformer, vae = parts(engine)
    told = [outcome(engine, job)]
    with bad_step(transformer, 2, math.nan):
        told.append(outcome(engine, job))
    for value in (math.nan, -30.0):
        with decoded_as(vae, value):
            told.append(outcome(engine, job))
    told.append(outcome(engine, job))
    return told


def test_clips_are_looked_at_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    family = family_of("wan2.1")
    folder = family_folder("wan2.1", tmp_path_factory.mktemp("corrupt"))
    spec = spec_of(family, folder, ParallelismConfig())
    (told,) = run_world(_clips, 1, spec, job_of(family, guided=False))
    assert told[0] == told[-1]
    assert [(kind, said.partition(": ")[2]) for kind, said in told[1:-1]] == [
        ("OutputCorrupt", f"the latents after step 2 of {STEPS} are not all finite numbers"),
        ("OutputCorrupt", "what the VAE decoded is not all finite numbers"),
        ("OutputCorrupt", "a clip is black all over"),
    ]


def test_a_clip_that_begins_black_is_not_black_all_over() -> None:
    from deployments.corrupt_output import is_black

    clip = np.zeros((3, 8, 8, 3), np.float32)
    assert is_black(clip)
    clip[2, 0, 0, 0] = 0.6 / 255
    assert not is_black(clip)
    assert is_black(np.full((8, 8, 3), 0.4 / 255, np.float32))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_value_among_many_is_found_wherever_it_lies(dtype: str, value: float) -> None:
    import torch

    from deployments.corrupt_output import Finiteness

    finiteness = Finiteness()
    for place in (0, 1, 12_344, 24_999):
        tensor = torch.randn(25_000, generator=torch.manual_seed(0)).to(getattr(torch, dtype))
        finiteness.note(tensor)
        assert finiteness.first_bad() is None
        tensor[place] = value
        finiteness.note(tensor)
        assert finiteness.first_bad() == 1
        finiteness.forget()
