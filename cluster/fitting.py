"""Sizes and lengths that a model makes, for what a caller brings or says."""

from __future__ import annotations

from math import isqrt

from cluster.config import PICTURE_MULTIPLE, ModelConfig
from cluster.errors import InvalidRequest
from cluster.request import VideoRequest

TEMPORAL_FACTOR = 4
"""The autoencoders of Wan and HunyuanVideo make one latent frame of so many, after the first."""


def fitted_size(size: tuple[int, int], model: ModelConfig) -> tuple[int, int]:
    """The largest size of about that shape, no larger than it, that the model makes.

    A side is never less than 16 pixels, however small or narrow the shape.
    """
    limits = model.limits
    pixels = size[0] * size[1]
    width, height = (
        _multiple_within(
            min(
                side,
                side * limits.max_side // max(size),
                isqrt(side**2 * limits.max_pixels // pixels),
            )
        )
        for side in size
    )
    longest = _multiple_within(limits.max_pixels // min(width, height))
    return min(width, longest), min(height, longest)


def _multiple_within(pixels: int) -> int:
    return max(PICTURE_MULTIPLE, pixels // PICTURE_MULTIPLE * PICTURE_MULTIPLE)


def frames_for(request: VideoRequest, model: ModelConfig) -> int | None:
    """Frames of a clip that lasts about `seconds`; None for the model's own number.

    Raises:
        InvalidRequest: the length is given twice, or is more than the model's limit.
    """
    if request.seconds is None:
        return request.num_frames
    if request.num_frames is not None:
        raise InvalidRequest(
            "seconds: the length of the clip is given twice; give seconds or num_frames",
            param="seconds",
        )
    fps = request.fps or model.default_fps
    frames = 1 + TEMPORAL_FACTOR * max(0, round((request.seconds * fps - 1) / TEMPORAL_FACTOR))
    if frames > model.limits.max_frames:
        raise InvalidRequest(
            f"seconds: {request.seconds:g} s at {fps} frames a second are {frames} frames; "
            f"{model.name} makes at most {model.limits.max_frames}",
            param="seconds",
        )
    return frames
