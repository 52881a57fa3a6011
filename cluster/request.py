"""A request as the caller sends it: its fields, and what each may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from cluster.errors import InvalidRequest
from cluster.job import SEED_MAX, OutputFormat
from cluster.sections import Section, dotted_path, reason

_HUGE = 10**9


class GenerateRequest(Section):
    """The body of `POST /v1/images/generations` and `/edits`, and of `handle.generate.remote(...)`.

    It has OpenAI's fields and ours. `images` are whole files of pictures to begin from, `mask` one
    whose transparent pixels are to be redrawn: through a form or the Python handle, since JSON has
    no bytes.
    """

    prompt: str
    model: str | None = None
    n: int = Field(1, ge=-_HUGE, le=_HUGE)
    size: str = "auto"
    quality: Literal["auto", "high", "hd", "medium", "standard", "low"] | None = None
    response_format: Literal["b64_json", "url"] | None = None
    output_format: OutputFormat | None = None
    output_compression: int | None = Field(None, ge=0, le=100)
    stream: bool | None = None
    partial_images: int | None = Field(None, ge=0, le=3)
    user: str | None = Field(None, max_length=256)
    tier: Literal["auto", "none", "slow", "medium", "fast", "ultra"] | None = None
    min_tier: Literal["none", "slow", "medium", "fast", "ultra"] | None = None
    deadline_ms: int | None = Field(None, ge=1, le=86_400_000)
    late: Literal["refuse", "accept"] | None = None
    priority: int = Field(0, ge=-10, le=10)
    seed: int | None = Field(None, ge=0, le=SEED_MAX)
    num_inference_steps: int | None = Field(None, ge=-_HUGE, le=_HUGE)
    guidance_scale: float | None = Field(None, ge=0, le=100)
    true_cfg_scale: float | None = Field(None, ge=0, le=100)
    negative_prompt: str | None = None
    strength: float | None = Field(None, gt=0, le=1)
    num_frames: int | None = Field(None, ge=-_HUGE, le=_HUGE)
    fps: int | None = Field(None, ge=1, le=120)
    images: tuple[bytes, ...] = ()
    mask: bytes | None = None


class VideoRequest(Section):
    """The body of `POST /v1/videos`: OpenAI's fields and ours.

    `seconds` or `num_frames` say how long the clip is. `input_reference` is the whole file of a
    picture to begin from, in a form.
    """

    prompt: str
    model: str | None = None
    seconds: float | None = Field(None, gt=0, le=3600)
    num_frames: int | None = Field(None, ge=-_HUGE, le=_HUGE)
    fps: int | None = Field(None, ge=1, le=120)
    size: str = "auto"
    quality: Literal["auto", "high", "hd", "medium", "standard", "low"] | None = None
    user: str | None = Field(None, max_length=256)
    tier: Literal["auto", "none", "slow", "medium", "fast", "ultra"] | None = None
    min_tier: Literal["none", "slow", "medium", "fast", "ultra"] | None = None
    deadline_ms: int | None = Field(None, ge=1, le=86_400_000)
    late: Literal["refuse", "accept"] | None = None
    priority: int = Field(0, ge=-10, le=10)
    seed: int | None = Field(None, ge=0, le=SEED_MAX)
    num_inference_steps: int | None = Field(None, ge=-_HUGE, le=_HUGE)
    guidance_scale: float | None = Field(None, ge=0, le=100)
    true_cfg_scale: float | None = Field(None, ge=0, le=100)
    negative_prompt: str | None = None
    input_reference: bytes | None = None

    def as_generate(self, model: str, num_frames: int | None) -> GenerateRequest:
        """The same for that model, and of so many frames; None for the model's own number.

        Its clip is stored, whoever waits for it.
        """
        fields = self.model_dump(exclude={"model", "seconds", "num_frames", "input_reference"})
        images = () if self.input_reference is None else (self.input_reference,)
        return GenerateRequest(
            **fields, model=model, num_frames=num_frames, images=images, response_format="url"
        )


_Body = TypeVar("_Body", GenerateRequest, VideoRequest)


def parse_request(body: Mapping[str, Any], *, from_form: bool = False) -> GenerateRequest:
    """The request in a mapping; a field that is null is a field not given.

    In a form numbers and booleans come as text.

    Raises:
        InvalidRequest: `param` names the first bad field.
    """
    return _parsed(GenerateRequest, body, from_form)


def parse_video_request(body: Mapping[str, Any], *, from_form: bool = False) -> VideoRequest:
    """The same for a clip. `seconds` may be text, as the official SDK sends it.

    Raises:
        InvalidRequest: `param` names the first bad field.
    """
    if isinstance(body, Mapping) and isinstance(seconds := body.get("seconds"), str):
        try:
            body = {**body, "seconds": float(seconds)}
        except ValueError as error:
            raise InvalidRequest(
                f"seconds: must be a number, not {seconds!r:.40}", param="seconds"
            ) from error
    return _parsed(VideoRequest, body, from_form)


def _parsed(kind: type[_Body], body: Mapping[str, Any], from_form: bool) -> _Body:
    fields = kind.model_fields
    if not isinstance(body, Mapping):
        raise InvalidRequest(f"a request is a mapping of fields, not {type(body).__name__}")
    given = {key: body[key] for key in body if body[key] is not None or key not in fields}
    try:
        return kind.model_validate(given, strict=False if from_form else None)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        param = dotted_path("", fault["loc"]) or None
        if fault["type"] == "unknown_key":
            param = str(fault["ctx"]["key"])
        message = reason(fault)
        raise InvalidRequest(f"{param}: {message}" if param else message, param=param) from error
