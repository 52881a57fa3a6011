"""How a diffusers pipeline is called for a job: its arguments, and its calls per step.

Imports no Ray.
"""

from __future__ import annotations

import inspect
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from cluster.acceleration import CacheConfig
from cluster.errors import ConfigError, InvalidRequest
from cluster.job import Job
from cluster.tasks import PIPELINES, Task, pictures_max, tasks_of
from deployments.engine import EngineSpec
from deployments.pipeline_loading import sibling
from deployments.uploads import as_reference, decode_mask, decode_picture, filling

_OPTIONAL = ("guidance_scale", "true_cfg_scale", "negative_prompt")
_GUIDES_APART = {"Flux2KleinPipeline"}
"""Pipelines that guide in a second call of the transformer, which cache-dit does not expect."""

_SCALES_PICTURES = {"QwenImageEditPipeline", "QwenImageEditPlusPipeline"}
"""Pipelines that bring a picture to a million pixels, whatever its size and that of the job."""

_TEXT_BESIDE_A_FRAME = 512
"""Tokens of text that Wan 2.1's transformer counts on where it has an encoder for the first frame:
`WanAttnProcessor` in diffusers takes what comes before them for the frame."""

_GRAY = 128


@dataclass(frozen=True)
class _Callee:
    """The pipeline that does a task, and the parameters of its call."""

    pipeline: Any
    takes: Mapping[str, inspect.Parameter]

    @property
    def name(self) -> str:
        return type(self.pipeline).__name__


class PipelineCalls:
    """What a pipeline and its siblings take when called, and what a job becomes for them."""

    def __init__(self, pipeline: Any, spec: EngineSpec) -> None:
        """Raises `ConfigError` for steps that cannot be watched, or a text of a wrong length."""
        self._pipeline = pipeline
        self._spec = spec
        self._name = type(pipeline).__name__
        own = _callee(pipeline)
        self._callees = {self._name: own}
        self.makes_videos = "num_frames" in own.takes
        if "callback_on_step_end" not in own.takes:
            raise ConfigError(
                f"{spec.source}: {self._name} has no callback_on_step_end, "
                "so its steps cannot be watched"
            )
        transformer = getattr(pipeline, "transformer", None)
        sees_a_frame = transformer is not None and transformer.config.get("image_dim") is not None
        if sees_a_frame and spec.max_sequence_length not in (None, _TEXT_BESIDE_A_FRAME):
            raise ConfigError(
                f"{spec.source}: max_sequence_length: {self._name} looks at the first frame "
                f"beside a text of {_TEXT_BESIDE_A_FRAME} tokens; leave it out"
            )

    def pipeline_for(self, task: Task) -> Any:
        """The pipeline that does the task, of the same modules; made when first asked for.

        A task that the pipeline's class is not known for is left to the class itself.
        """
        return self._callee_for(task).pipeline

    def blank_input(self, width: int, height: int) -> dict[str, Any]:
        """The fields of a job, with blank pictures, that make it one the pipeline can do."""
        task = tasks_of(self._name, makes_videos=self.makes_videos)[0]
        fields: dict[str, Any] = {"task": task}
        if task.begins_from_picture:
            fields["images"] = (_png(Image.new("L", (width, height), _GRAY)),)
        if task is Task.INPAINTING:
            fields |= {"mask": _png(Image.new("LA", (width, height))), "strength": 1.0}
        return fields

    def arguments(self, job: Job) -> dict[str, Any]:
        """The keyword arguments of the pipeline for a job, without generator and callback.

        Raises:
            InvalidRequest: the pipeline does not take a field that the job gives, or lacks one.
            ConfigError: the model is said to make videos and does not, or the other way round.
        """
        callee = self._callee_for(job.task)
        arguments: dict[str, Any] = {
            "prompt": job.prompt,
            "width": job.width,
            "height": job.height,
            "num_inference_steps": job.num_inference_steps,
        }
        longest = self._spec.max_sequence_length
        if longest is not None and "max_sequence_length" in callee.takes:
            arguments["max_sequence_length"] = longest
        if "max_area" in callee.takes:  # FLUX Kontext makes about so many pixels of any size
            arguments |= {"max_area": job.width * job.height, "_auto_resize": False}
        for field in (*_OPTIONAL, "strength"):
            if (value := getattr(job, field)) is not None:
                _refuse_unless_taken(field, field, callee, job)
                arguments[field] = value
        arguments |= self._pictures(callee, job)
        if self.makes_videos:
            arguments["num_frames"] = self._frames(job)
        elif job.num_frames is not None:
            raise ConfigError(
                f"{job.model}: {self._name} makes pictures; its model takes no default_frames"
            )
        return arguments

    def runs_cfg_apart(self, job: Job, cache: CacheConfig, *, by_default: bool) -> bool:
        """Whether a step of this job calls the transformer twice.

        That is once with the prompt and once with the negative prompt. `by_default` is what
        cache-dit expects of the transformer's class.
        """
        callee = self._callee_for(job.task)
        if "true_cfg_scale" in callee.takes:
            scale = _value_of("true_cfg_scale", job.true_cfg_scale, callee)
            return job.negative_prompt is not None and scale > 1
        if self._name in _GUIDES_APART:
            apart = not self._pipeline.config.get("is_distilled", False)
        else:
            stated = cache.enable_separate_cfg
            apart = by_default if stated is None else stated
        return apart and _value_of("guidance_scale", job.guidance_scale, callee) > 1

    def _callee_for(self, task: Task) -> _Callee:
        name = PIPELINES.get(self._name, {}).get(task, self._name)
        if name not in self._callees:
            self._callees[name] = _callee(sibling(self._pipeline, name, self._spec))
        return self._callees[name]

    def _pictures(self, callee: _Callee, job: Job) -> dict[str, Any]:
        """The pictures that the job begins from, as the pipeline takes them.

        Those that become the picture or the clip are brought to its size, with their mask; those
        that are only looked at keep their shape.
        """
        needs_one = job.task.begins_from_picture or self._always_begins_from_picture
        if needs_one and not job.images:
            raise InvalidRequest(
                f"image: {job.model} ({callee.name}) begins from a picture; give one", param="image"
            )
        if job.mask is None and job.task is Task.INPAINTING:
            raise InvalidRequest(
                f"mask: {job.model} ({callee.name}) redraws what a mask says; give one",
                param="mask",
            )
        if job.mask is not None:
            _refuse_unless_taken("mask", "mask_image", callee, job)
        if not job.images:
            return {}
        _refuse_unless_taken("image", "image", callee, job)
        most = max(1, pictures_max(self._name, job.task))
        if len(job.images) > most:
            raise InvalidRequest(
                f"image: {job.model} ({callee.name}) begins from at most {most}, "
                f"not {len(job.images)}",
                param="image",
            )
        pictures = [decode_picture(file) for file in job.images]
        size = (job.width, job.height)
        if job.task is Task.IMAGE_EDITING:
            if self._name not in _SCALES_PICTURES:
                pictures = [as_reference(picture, size) for picture in pictures]
            return {"image": pictures[0] if len(pictures) == 1 else pictures}
        filled = filling(pictures[0], size)
        # Alone, and not in a list, FLUX.2's inpainting would shrink it to a million pixels.
        found: dict[str, Any] = {"image": [filled] if job.task.starts_part_way else filled}
        if job.mask is not None:
            found["mask_image"] = filling(decode_mask(job.mask, pictures[0].size), size)
        return found

    @property
    def _always_begins_from_picture(self) -> bool:
        tasks = tasks_of(self._name, makes_videos=self.makes_videos)
        return all(task.begins_from_picture for task in tasks)

    def _frames(self, job: Job) -> int:
        if job.num_frames is None:
            raise ConfigError(
                f"{job.model}: {self._name} makes videos; its model needs default_frames"
            )
        every = getattr(self._pipeline, "vae_scale_factor_temporal", 1)
        if (job.num_frames - 1) % every:
            raise InvalidRequest(
                f"num_frames: {job.model} makes clips of 1 frame and a multiple of {every}, "
                f"not {job.num_frames}",
                param="num_frames",
            )
        return job.num_frames


def _callee(pipeline: Any) -> _Callee:
    return _Callee(pipeline, inspect.signature(pipeline.__call__).parameters)


def _refuse_unless_taken(field: str, parameter: str, callee: _Callee, job: Job) -> None:
    if parameter not in callee.takes:
        raise InvalidRequest(f"{field}: {job.model} ({callee.name}) takes no {field}", param=field)


def _value_of(field: str, given: float | None, callee: _Callee) -> float:
    """What the pipeline will use: the job's value, else its own default, else no guidance."""
    if given is None and field in callee.takes:
        given = callee.takes[field].default
    return 1.0 if given is None else float(given)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
