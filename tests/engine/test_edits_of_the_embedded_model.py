"""The embedded model begins from pictures: what is repainted, what stays, what is refused."""

from __future__ import annotations

import dataclasses
import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from cluster.errors import InvalidRequest
from cluster.job import Job
from cluster.tasks import Task
from cluster.tiers import Tier
from demo.adherence import judge
from demo.draw import draw
from demo.world import parse
from deployments.engine import Engine, Stopped
from tests.engine.conftest import onward
from tests.families.family import mask_file, picture_file

pytestmark = pytest.mark.filterwarnings("ignore")

RED = "a large red circle on a white background"
BLUE = "a large blue circle on a white background"
MakeJob = Callable[..., Job]


@pytest.fixture
def red_circle() -> Image.Image:
    return draw(parse(RED), random.Random(1)).convert("RGB")


@pytest.fixture
def repainted(job: MakeJob, red_circle: Image.Image) -> MakeJob:
    """A job that makes the red circle a blue one; from fields of `Job`."""

    def make(task: Task, strength: float, **fields: Any) -> Job:
        brought = {"images": (picture_file(red_circle),), "task": task, "strength": strength}
        return dataclasses.replace(job(prompt=BLUE), **brought | fields)

    return make


def around_the_circle(size: tuple[int, int] = (128, 128)) -> Image.Image:
    drawn = Image.new("L", size)
    drawn.paste(255, tuple(round(side * share) for share in (0.15, 0.85) for side in size))
    return drawn


def shown(engine: Any, job: Job, tier: Tier = Tier.NONE) -> Image.Image:
    return Image.open(io.BytesIO(engine.generate(job, tier, onward).images[0]))


@pytest.mark.parametrize("tier", [Tier.NONE, Tier.MEDIUM, Tier.ULTRA])
def test_what_a_mask_says_is_repainted_and_the_rest_stays(
    engine: Engine, repainted: MakeJob, red_circle: Image.Image, tier: Tier
) -> None:
    region = around_the_circle()
    drawn = shown(engine, repainted(Task.INPAINTING, 1.0, mask=mask_file(region)), tier)
    assert judge(BLUE, drawn) == (3, 3)
    kept = np.asarray(region.filter(ImageFilter.MaxFilter(17))) == 0
    change = np.abs(np.asarray(drawn, float) - np.asarray(red_circle, float)) / 255
    assert change[kept].mean() < 0.01
    assert change[~kept].mean() > 0.1


def test_much_strength_obeys_the_prompt_and_little_keeps_the_picture(
    engine: Engine, repainted: MakeJob
) -> None:
    strong = shown(engine, repainted(Task.IMAGE_TO_IMAGE, 0.9))
    weak = shown(engine, repainted(Task.IMAGE_TO_IMAGE, 0.4))
    assert judge(BLUE, strong) == judge(RED, weak) == (3, 3)


def test_an_edit_leaves_nothing_behind(engine: Engine, job: MakeJob, repainted: MakeJob) -> None:
    """The schedule that it begins part way is its own pipeline's."""
    before = engine.generate(job(), Tier.FAST, onward).images
    edit = repainted(Task.IMAGE_TO_IMAGE, 0.5)
    first = engine.generate(edit, Tier.FAST, onward).images
    with pytest.raises(Stopped):
        engine.generate(edit, Tier.FAST, lambda done, total: done < 3)
    assert engine.generate(job(), Tier.FAST, onward).images == before
    assert engine.generate(edit, Tier.FAST, onward).images == first


def test_only_the_steps_that_its_strength_leaves_are_run(
    engine: Engine, repainted: MakeJob
) -> None:
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> bool:
        seen.append((done, total))
        return True

    result = engine.generate(repainted(Task.IMAGE_TO_IMAGE, 0.5), Tier.FAST, note)
    assert seen == [(step + 1, 14) for step in range(14)]
    assert result.steps_computed + result.steps_cached == 14


def test_each_of_several_begins_from_the_picture_with_a_seed_of_its_own(
    engine: Engine, repainted: MakeJob
) -> None:
    edit = repainted(Task.INPAINTING, 1.0, mask=mask_file(around_the_circle()), seed=5)
    (first, second), _ = engine.render(  # type: ignore[attr-defined]
        dataclasses.replace(edit, n=2), Tier.NONE, onward
    )
    for seed, found in ((5, first), (6, second)):
        (alone,), _ = engine.render(  # type: ignore[attr-defined]
            dataclasses.replace(edit, seed=seed), Tier.NONE, onward
        )
        assert np.abs(found - alone).max() <= 1e-4


def test_a_picture_and_its_mask_of_another_size_are_fitted(
    engine: Engine, repainted: MakeJob
) -> None:
    """Twice as wide as the job: the middle of it is what is repainted."""
    wide = Image.new("RGB", (512, 256), "black")
    wide.paste(draw(parse(RED), random.Random(1)).convert("RGB").resize((256, 256)), (128, 0))
    region = Image.new("L", wide.size)
    region.paste(around_the_circle((256, 256)), (128, 0))
    drawn = shown(
        engine,
        repainted(Task.INPAINTING, 1.0, images=(picture_file(wide),), mask=mask_file(region)),
    )
    assert drawn.size == (128, 128)
    assert judge(BLUE, drawn) == (3, 3)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"images": ()}, "image", r"begins from a picture; give one"),
        ({"images": (b"no picture",)}, "image", "no picture that can be read"),
        ({"images": (picture_file(),) * 2}, "image", "begins from at most 1, not 2"),
        ({"mask": mask_file()}, "mask", "mask: is 64x64, but the picture 128x128"),
        ({"mask": picture_file()}, "mask", "mask: "),
        ({"mask": None}, "mask", "redraws what a mask says; give one"),
        ({"task": Task.IMAGE_TO_IMAGE}, "mask", "FluxImg2ImgPipeline. takes no mask"),
        ({"task": Task.TEXT_TO_IMAGE}, "strength", "FluxPipeline. takes no strength"),
        (
            {"task": Task.TEXT_TO_IMAGE, "strength": None, "mask": None},
            "image",
            "FluxPipeline. takes no image",
        ),
    ],
)
def test_what_a_task_lacks_or_does_not_take_is_refused_by_name(
    engine: Engine, repainted: MakeJob, fields: dict[str, Any], param: str, words: str
) -> None:
    region = mask_file(around_the_circle())
    edit = dataclasses.replace(repainted(Task.INPAINTING, 1.0, mask=region), **fields)
    with pytest.raises(InvalidRequest, match=words) as refused:
        engine.generate(edit, Tier.FAST, onward)
    assert refused.value.param == param
