"""What a pipeline can be asked to do, told by the name of its class. Names and facts only."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Task(StrEnum):
    """What is made of what."""

    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    INPAINTING = "inpainting"
    IMAGE_EDITING = "image-editing"
    TEXT_TO_VIDEO = "text-to-video"
    IMAGE_TO_VIDEO = "image-to-video"

    @property
    def makes_video(self) -> bool:
        return self in (Task.TEXT_TO_VIDEO, Task.IMAGE_TO_VIDEO)

    @property
    def begins_from_picture(self) -> bool:
        return self not in (Task.TEXT_TO_IMAGE, Task.TEXT_TO_VIDEO)

    @property
    def starts_part_way(self) -> bool:
        """Whether denoising begins at a picture with noise on it, as `strength` says."""
        return self in (Task.IMAGE_TO_IMAGE, Task.INPAINTING)


_EDITS = Task.IMAGE_EDITING
_T2I, _I2I, _INPAINT = Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINTING
_T2V, _I2V = Task.TEXT_TO_VIDEO, Task.IMAGE_TO_VIDEO

PIPELINES: Mapping[str, Mapping[Task, str]] = {
    "FluxPipeline": {
        _T2I: "FluxPipeline",
        _I2I: "FluxImg2ImgPipeline",
        _INPAINT: "FluxInpaintPipeline",
    },
    "FluxFillPipeline": {_INPAINT: "FluxFillPipeline"},
    "FluxKontextPipeline": {
        _T2I: "FluxKontextPipeline",
        _EDITS: "FluxKontextPipeline",
        _INPAINT: "FluxKontextInpaintPipeline",
    },
    "Flux2KleinPipeline": {
        _T2I: "Flux2KleinPipeline",
        _EDITS: "Flux2KleinPipeline",
        _INPAINT: "Flux2KleinInpaintPipeline",
    },
    "QwenImagePipeline": {
        _T2I: "QwenImagePipeline",
        _I2I: "QwenImageImg2ImgPipeline",
        _INPAINT: "QwenImageInpaintPipeline",
    },
    "QwenImageEditPipeline": {_EDITS: "QwenImageEditPipeline"},
    "QwenImageEditPlusPipeline": {_EDITS: "QwenImageEditPlusPipeline"},
    "ZImagePipeline": {
        _T2I: "ZImagePipeline",
        _I2I: "ZImageImg2ImgPipeline",
        _INPAINT: "ZImageInpaintPipeline",
    },
    "WanPipeline": {_T2V: "WanPipeline"},
    "WanImageToVideoPipeline": {_I2V: "WanImageToVideoPipeline"},
    "HunyuanVideoPipeline": {_T2V: "HunyuanVideoPipeline"},
    "HunyuanSkyreelsImageToVideoPipeline": {_I2V: "HunyuanSkyreelsImageToVideoPipeline"},
}
"""By the class that a pipeline is saved as: for each task the class of diffusers that does it.

The classes of one row take the same components, so one set of weights serves them all. Left out is
`QwenImageEditInpaintPipeline`, which makes about a million pixels whatever size it is asked for.
"""

SEVERAL_PICTURES: Mapping[str, int] = {"Flux2KleinPipeline": 4, "QwenImageEditPlusPipeline": 3}
"""How many pictures an edit may begin from, where that is more than one.

So the models' makers say: https://docs.bfl.ai/guides/prompting_editing_overview, and the model card
of Qwen-Image-Edit-2509.
"""


def tasks_of(pipeline: str | None, *, makes_videos: bool) -> tuple[Task, ...]:
    """The tasks of a pipeline's class, best known first.

    A class that is not in the table, or not known, is taken to work from text alone.
    """
    if pipeline is not None and pipeline in PIPELINES:
        return tuple(PIPELINES[pipeline])
    return (Task.TEXT_TO_VIDEO if makes_videos else Task.TEXT_TO_IMAGE,)


def pictures_max(pipeline: str | None, task: Task) -> int:
    """How many pictures the pipeline of that class begins from in a task."""
    if not task.begins_from_picture:
        return 0
    return SEVERAL_PICTURES.get(pipeline or "", 1) if task is Task.IMAGE_EDITING else 1
