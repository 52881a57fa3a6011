"""The table of tasks against the installed diffusers: what a job of each task relies on."""

from __future__ import annotations

import inspect
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cluster.job import steps_at_strength
from cluster.tasks import PIPELINES, Task

pytestmark = pytest.mark.filterwarnings("ignore")

ROWS = [(name, task, kind) for name, row in PIPELINES.items() for task, kind in row.items()]
PART_WAY = sorted({kind for _, task, kind in ROWS if task.starts_part_way})

every_row = pytest.mark.parametrize(("name", "task", "kind"), ROWS)


def class_of(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import diffusers

        return getattr(diffusers, name)


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(function).parameters)
    found.pop("self", None)
    return found


@every_row
def test_the_classes_of_a_row_are_made_of_the_same_components(
    name: str, task: Task, kind: str
) -> None:
    own, other = class_of(name), class_of(kind)
    assert set(parameters(other.__init__)) == set(parameters(own.__init__))
    assert set(other._optional_components) == set(own._optional_components)


@every_row
def test_a_class_takes_what_a_job_of_its_task_has(name: str, task: Task, kind: str) -> None:
    takes = parameters(class_of(kind).__call__)
    needed = {"prompt", "width", "height", "num_inference_steps", "generator", "output_type"}
    needed |= {"callback_on_step_end"}
    if task.begins_from_picture:
        needed |= {"image"}
    else:
        assert "image" not in takes or takes["image"].default is None
    if task.starts_part_way:
        needed |= {"strength"}
    else:
        assert "strength" not in takes
    if task is Task.INPAINTING:
        needed |= {"mask_image"}
    if task.makes_video:
        needed |= {"num_frames"}
    assert needed <= set(takes)
    assert ("num_frames" in takes) == task.makes_video


@every_row
def test_latents_are_handed_to_the_step_boundary(name: str, task: Task, kind: str) -> None:
    takes = parameters(class_of(kind).__call__)
    assert takes["callback_on_step_end_tensor_inputs"].default == ["latents"]


@pytest.mark.parametrize("kind", PART_WAY)
@given(steps=st.integers(1, 100), strength=st.floats(0.01, 1.0))
def test_a_strength_leaves_as_many_steps_as_the_job_says(
    kind: str, steps: int, strength: float
) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(steps)
    pipeline = SimpleNamespace(scheduler=scheduler)
    timesteps, count = class_of(kind).get_timesteps(pipeline, steps, strength, "cpu")
    assert count == len(timesteps) == steps_at_strength(steps, strength)


def test_a_new_schedule_forgets_where_the_last_one_began() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(10)
    scheduler.set_begin_index(4)
    scheduler.set_timesteps(10)
    assert scheduler.begin_index is None


def test_flux2_does_not_shrink_a_picture_in_a_list() -> None:
    """So its inpainting makes the size that a job says, beyond a million pixels too."""
    from diffusers.pipelines.flux2.image_processor import Flux2ImageProcessor

    pictures = [Image.new("RGB", (1200, 1200))]
    assert Flux2ImageProcessor(vae_scale_factor=16).resize(pictures, 1024, 1024) is pictures


def test_what_flux2_refuses_to_look_at_is_what_we_refuse() -> None:
    from diffusers.pipelines.flux2.image_processor import Flux2ImageProcessor

    from deployments.uploads import REFERENCE_PIXELS_MAX, REFERENCE_RATIO_MAX, REFERENCE_SIDE_MIN

    limits = parameters(Flux2ImageProcessor.check_image_input)
    assert limits["max_aspect_ratio"].default == REFERENCE_RATIO_MAX
    assert limits["min_side_length"].default == REFERENCE_SIDE_MIN
    assert limits["max_area"].default == REFERENCE_PIXELS_MAX


def test_a_pipeline_hands_on_what_it_is_made_of() -> None:
    """`components` and the config together are all that a sibling is made from."""
    for name in PIPELINES:
        kind = class_of(name)
        modules, settings = kind._get_signature_keys(kind)
        assert set(modules) | set(settings) == set(parameters(kind.__init__))
