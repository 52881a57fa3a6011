"""How a diffusers pipeline is called for a job: its arguments, and its calls per step.

Imports no Ray.
"""

from __future__ import annotations

import inspect
from typing import Any

from cluster.acceleration import CacheConfig
from cluster.errors import ConfigError, InvalidRequest
from cluster.request import Job
from deployments.pictures import decode_picture

_OPTIONAL = ("guidance_scale", "true_cfg_scale", "negative_prompt")
_GUIDES_APART = {"Flux2KleinPipeline"}
"""Pipelines that guide in a second call of the transformer, which cache-dit does not expect."""


class PipelineCalls:
    """What a pipeline's `__call__` takes, and what a job becomes for it."""

    def __init__(self, pipeline: Any, source: str, max_sequence_length: int | None) -> None:
        """Raises `ConfigError` for a pipeline whose steps cannot be watched."""
        self._pipeline = pipeline
        self._name = type(pipeline).__name__
        self._takes = inspect.signature(pipeline.__call__).parameters
        self._max_sequence_length = max_sequence_length
        if "callback_on_step_end" not in self._takes:
            raise ConfigError(
                f"{source}: {self._name} has no callback_on_step_end, "
                "so its steps cannot be watched"
            )

    @property
    def makes_videos(self) -> bool:
        return "num_frames" in self._takes

    @property
    def edits_pictures(self) -> bool:
        """Whether the pipeline begins from a picture, and must be given one."""
        return "Edit" in self._name and "image" in self._takes

    def arguments(self, job: Job) -> dict[str, Any]:
        """The keyword arguments of the pipeline for a job, without generator and callback.

        Raises:
            InvalidRequest: the pipeline does not take a field that the job gives, or lacks one.
            ConfigError: the model is said to make videos and does not, or the other way round.
        """
        arguments: dict[str, Any] = {
            "prompt": job.prompt,
            "width": job.width,
            "height": job.height,
            "num_inference_steps": job.num_inference_steps,
        }
        if self._max_sequence_length is not None and "max_sequence_length" in self._takes:
            arguments["max_sequence_length"] = self._max_sequence_length
        for field in _OPTIONAL:
            if (value := getattr(job, field)) is not None:
                self._refuse_unless_taken(field, field, job)
                arguments[field] = value
        if job.images:
            self._refuse_unless_taken("images", "image", job)
            pictures = [decode_picture(file) for file in job.images]
            arguments["image"] = pictures[0] if len(pictures) == 1 else pictures
        elif self.edits_pictures:
            raise InvalidRequest(
                f"images: {job.model} ({self._name}) edits a picture; give one", param="images"
            )
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
        if "true_cfg_scale" in self._takes:
            scale = self._value_of("true_cfg_scale", job.true_cfg_scale)
            return job.negative_prompt is not None and scale > 1
        if self._name in _GUIDES_APART:
            apart = not self._pipeline.config.get("is_distilled", False)
        else:
            stated = cache.enable_separate_cfg
            apart = by_default if stated is None else stated
        return apart and self._value_of("guidance_scale", job.guidance_scale) > 1

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

    def _refuse_unless_taken(self, field: str, parameter: str, job: Job) -> None:
        if parameter not in self._takes:
            raise InvalidRequest(
                f"{field}: {job.model} ({self._name}) takes no {field}", param=field
            )

    def _value_of(self, field: str, given: float | None) -> float:
        """What the pipeline will use: the job's value, else its own default, else no guidance."""
        if given is None and field in self._takes:
            given = self._takes[field].default
        return 1.0 if given is None else float(given)


def pixels(output: Any) -> Any:
    """The first picture or clip of a pipeline's output: floats, height x width x 3.

    A clip has its frames before that.
    """
    found = output.frames if hasattr(output, "frames") else output.images
    return found[0]
