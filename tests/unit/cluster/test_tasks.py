"""What a pipeline can do, told by its class."""

from __future__ import annotations

import pytest

from cluster.tasks import PIPELINES, SEVERAL_PICTURES, Task, pictures_max, tasks_of


@pytest.mark.parametrize("pipeline", [None, "SomeNewPipeline"])
def test_a_class_that_is_not_known_works_from_text(pipeline: str | None) -> None:
    assert tasks_of(pipeline, makes_videos=False) == (Task.TEXT_TO_IMAGE,)
    assert tasks_of(pipeline, makes_videos=True) == (Task.TEXT_TO_VIDEO,)


def test_what_a_class_is_made_for_comes_first() -> None:
    assert tasks_of("FluxPipeline", makes_videos=False) == (
        Task.TEXT_TO_IMAGE,
        Task.IMAGE_TO_IMAGE,
        Task.INPAINTING,
    )
    assert tasks_of("FluxFillPipeline", makes_videos=False) == (Task.INPAINTING,)
    assert tasks_of("WanImageToVideoPipeline", makes_videos=True) == (Task.IMAGE_TO_VIDEO,)


def test_a_class_makes_pictures_or_videos_and_its_first_task_is_its_own() -> None:
    for pipeline, tasks in PIPELINES.items():
        assert len({task.makes_video for task in tasks}) == 1, pipeline
        assert next(iter(tasks.values())) == pipeline


@pytest.mark.parametrize(
    ("pipeline", "task", "most"),
    [
        ("FluxPipeline", Task.TEXT_TO_IMAGE, 0),
        ("FluxPipeline", Task.IMAGE_TO_IMAGE, 1),
        ("FluxKontextPipeline", Task.IMAGE_EDITING, 1),
        ("Flux2KleinPipeline", Task.IMAGE_EDITING, 4),
        ("Flux2KleinPipeline", Task.INPAINTING, 1),
        ("QwenImageEditPlusPipeline", Task.IMAGE_EDITING, 3),
        (None, Task.IMAGE_TO_VIDEO, 1),
    ],
)
def test_how_many_pictures_a_task_begins_from(pipeline: str | None, task: Task, most: int) -> None:
    assert pictures_max(pipeline, task) == most


def test_only_classes_that_edit_take_several_pictures() -> None:
    assert all(Task.IMAGE_EDITING in PIPELINES[pipeline] for pipeline in SEVERAL_PICTURES)


def test_denoising_begins_part_way_only_where_a_picture_is_begun_from() -> None:
    assert {task for task in Task if task.starts_part_way} == {
        Task.IMAGE_TO_IMAGE,
        Task.INPAINTING,
    }
    assert {task for task in Task if not task.begins_from_picture} == {
        Task.TEXT_TO_IMAGE,
        Task.TEXT_TO_VIDEO,
    }
