"""A request as the caller sends it, and the job that it becomes once everything is settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from cluster.config import ClusterConfig, ModelConfig, parse_size, size_problem
from cluster.errors import InvalidRequest, UnknownModel
from cluster.sections import Section, dotted_path, reason
from cluster.tiers import AUTO, QUALITY_WORDS, Tier

OutputFormat = Literal["png", "jpeg", "webp"]
SEED_MAX = 2**63 - 1
_HUGE = 10**9


class GenerateRequest(Section):
    """The body of `POST /v1/images/generations` and of `handle.generate.remote(...)`.

    It has OpenAI's fields and ours. `images` are whole files of pictures to begin from, for models
    that edit; they come through the Python handle only, since JSON has no bytes.
    """

    prompt: str
    model: str | None = None
    n: int = Field(1, ge=-_HUGE, le=_HUGE)
    size: str = "auto"
    quality: Literal["auto", "high", "hd", "medium", "standard", "low"] | None = None
    response_format: Literal["b64_json"] | None = None
    output_format: OutputFormat | None = None
    output_compression: int | None = Field(None, ge=0, le=100)
    stream: Literal[False] | None = None
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
    num_frames: int | None = Field(None, ge=-_HUGE, le=_HUGE)
    fps: int | None = Field(None, ge=1, le=120)
    images: tuple[bytes, ...] = ()


_REASONS = {
    "response_format": "this version answers b64_json only",
    "stream": "this version does not stream",
}


@dataclass(frozen=True)
class Job:
    """A request with nothing left open.

    The same job gives the same bytes on any replica of one shape. `deadline_s` is in seconds after
    the router took the job; None is no deadline. `late` says what becomes of a job whose deadline
    is out of reach: refused at once, or run last. `caller` is whose job it is, for fairness.
    `attempt` counts the times that it was sent.
    """

    request_id: str
    model: str
    prompt: str
    n: int
    width: int
    height: int
    tier_requested: str
    min_tier: Tier | None
    num_inference_steps: int
    seed: int
    output_format: OutputFormat = "png"
    output_compression: int | None = None
    deadline_s: float | None = None
    late: Literal["refuse", "accept"] = "refuse"
    priority: int = 0
    caller: str = ""
    attempt: int = 1
    guidance_scale: float | None = None
    true_cfg_scale: float | None = None
    negative_prompt: str | None = None
    num_frames: int | None = None
    fps: int = 16
    images: tuple[bytes, ...] = ()


def parse_request(body: Mapping[str, Any]) -> GenerateRequest:
    """The request in a mapping; a field that is null is a field not given.

    Raises:
        InvalidRequest: `param` names the first bad field.
    """
    fields = GenerateRequest.model_fields
    if not isinstance(body, Mapping):
        raise InvalidRequest(f"a request is a mapping of fields, not {type(body).__name__}")
    given = {key: body[key] for key in body if body[key] is not None or key not in fields}
    try:
        return GenerateRequest.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        param = dotted_path("", fault["loc"]) or None
        if fault["type"] == "unknown_key":
            param = str(fault["ctx"]["key"])
        message = _REASONS.get(param or "", reason(fault))
        raise InvalidRequest(f"{param}: {message}" if param else message, param=param) from error


def settle(
    request: GenerateRequest, config: ClusterConfig, request_id: str, seed: int
) -> tuple[ModelConfig, Job]:
    """The model that a request is for and its job; `seed` stands in where the caller gave none.

    Raises:
        UnknownModel: no such model is served.
        InvalidRequest: a value is out of the model's limits, or two fields contradict each other.
    """
    model = _model_of(request, config)
    limits = model.limits
    if not request.prompt.strip():
        raise InvalidRequest("prompt: must not be empty", param="prompt")
    _check_text("prompt", request.prompt, model)
    _check_text("negative_prompt", request.negative_prompt or "", model)
    width, height = _size_of(request, model)
    steps = (
        model.default_steps if request.num_inference_steps is None else request.num_inference_steps
    )
    _within("num_inference_steps", steps, limits.max_steps, model)
    _within("n", request.n, limits.max_images, model)
    output_format = _format_of(request, model)
    if request.output_compression is not None and output_format == "png":
        raise InvalidRequest(
            "output_compression: png has none; ask for output_format jpeg or webp",
            param="output_compression",
        )
    requested, floor = _tiers_of(request, model)
    return model, Job(
        request_id=request_id,
        model=model.name,
        prompt=request.prompt,
        n=request.n,
        width=width,
        height=height,
        tier_requested=requested,
        min_tier=floor,
        num_inference_steps=steps,
        seed=seed if request.seed is None else request.seed,
        output_format=output_format,
        output_compression=request.output_compression,
        deadline_s=None if request.deadline_ms is None else request.deadline_ms / 1000,
        late=request.late or "refuse",
        priority=request.priority,
        caller=request.user or "",
        guidance_scale=request.guidance_scale,
        true_cfg_scale=request.true_cfg_scale,
        negative_prompt=request.negative_prompt,
        num_frames=_frames_of(request, model),
        fps=request.fps or model.default_fps,
        images=request.images,
    )


def _frames_of(request: GenerateRequest, model: ModelConfig) -> int | None:
    """Frames of a clip; None for a picture."""
    if model.default_frames is None:
        for field in ("num_frames", "fps"):
            if getattr(request, field) is not None:
                raise InvalidRequest(
                    f"{field}: {model.name} makes pictures, not videos", param=field
                )
        return None
    frames = model.default_frames if request.num_frames is None else request.num_frames
    _within("num_frames", frames, model.limits.max_frames, model)
    return frames


def _format_of(request: GenerateRequest, model: ModelConfig) -> OutputFormat:
    if model.default_frames is None:
        return request.output_format or "png"
    if request.output_format not in (None, "webp"):
        raise InvalidRequest(
            f"output_format: {model.name} makes videos, which come as animated webp, "
            f"not {request.output_format}",
            param="output_format",
        )
    return "webp"


def _model_of(request: GenerateRequest, config: ClusterConfig) -> ModelConfig:
    if request.model is None:
        return config.models[0]
    model = config.model_named(request.model)
    if model is None:
        names = ", ".join(model.name for model in config.models)
        raise UnknownModel(
            f"model: {request.model[:80]!r} is not served here; the models are {names}",
            param="model",
        )
    return model


def _size_of(request: GenerateRequest, model: ModelConfig) -> tuple[int, int]:
    text = model.default_size if request.size == "auto" else request.size
    try:
        width, height = parse_size(text)
    except ValueError as error:
        raise InvalidRequest(f"size: {error}", param="size") from error
    if problem := size_problem((width, height), model.limits):
        raise InvalidRequest(f"size: {text} {problem}", param="size")
    return width, height


def _check_text(field: str, text: str, model: ModelConfig) -> None:
    most = model.limits.max_prompt_chars
    if len(text) > most:
        raise InvalidRequest(
            f"{field}: has {len(text)} characters; {model.name} takes at most {most}", param=field
        )
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidRequest(
            f"{field}: must not hold the character NUL or half of a surrogate pair", param=field
        )


def _tiers_of(request: GenerateRequest, model: ModelConfig) -> tuple[str, Tier | None]:
    """The tier and the floor: who says nothing of quality or time gets the model's default."""
    from_quality = str(QUALITY_WORDS[request.quality]) if request.quality else AUTO
    named = {str(request.tier or AUTO), from_quality} - {AUTO}
    if len(named) > 1:
        raise InvalidRequest(
            f"tier: {request.tier} and quality {request.quality} contradict each other; "
            "give one of them",
            param="tier",
        )
    chosen_by_router = (
        AUTO in (request.tier, request.quality)
        or request.min_tier is not None
        or request.deadline_ms is not None
    )
    requested = named.pop() if named else AUTO if chosen_by_router else model.default_tier.value
    floor = Tier(request.min_tier) if request.min_tier else None
    if requested != AUTO:
        if Tier(requested) not in model.tiers:
            raise InvalidRequest(
                f"tier: {model.name} does not serve {requested}; "
                f"it serves {', '.join(model.tiers)}",
                param="tier",
            )
        if floor is not None and Tier(requested).rank > floor.rank:
            raise InvalidRequest(
                f"min_tier: {floor} is better than the tier asked for, {requested}",
                param="min_tier",
            )
    elif floor is not None and all(tier.rank > floor.rank for tier in model.tiers):
        raise InvalidRequest(
            f"min_tier: {model.name} serves nothing as good as {floor}; "
            f"it serves {', '.join(model.tiers)}",
            param="min_tier",
        )
    return requested, floor


def _within(field: str, value: int, most: int, model: ModelConfig) -> None:
    if not 1 <= value <= most:
        raise InvalidRequest(
            f"{field}: must be 1 to {most} for {model.name}, not {value}", param=field
        )
