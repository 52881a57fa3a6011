"""Settles what a request leaves open, within the limits of its model."""

from __future__ import annotations

from cluster.config import ClusterConfig, ModelConfig, parse_size, size_problem
from cluster.errors import InvalidRequest, UnknownModel
from cluster.fitting import fitted_size
from cluster.job import Job, OutputFormat, steps_at_strength
from cluster.request import GenerateRequest
from cluster.tasks import Task, pictures_max
from cluster.tiers import AUTO, QUALITY_WORDS, Tier

MASKED_STRENGTH = 1.0
"""A masked part is drawn anew, where the caller does not say how far."""


def settle(
    request: GenerateRequest,
    config: ClusterConfig,
    request_id: str,
    seed: int,
    picture_size: tuple[int, int] | None = None,
    picture_field: str = "images",
) -> tuple[ModelConfig, Job]:
    """The model that a request is for and its job; `seed` stands in where the caller gave none.

    `picture_size` is the width and height of the first picture to begin from: what is made of it
    is as large, where no size is asked for. `picture_field` is how the caller names the pictures.

    Raises:
        UnknownModel: no such model is served.
        InvalidRequest: a value is out of the model's limits, or two fields contradict each other.
    """
    model = model_of(request.model, config)
    limits = model.limits
    if not request.prompt.strip():
        raise InvalidRequest("prompt: must not be empty", param="prompt")
    _check_text("prompt", request.prompt, model)
    _check_text("negative_prompt", request.negative_prompt or "", model)
    task = _task_of(request, model, picture_field)
    width, height = _size_of(request, model, picture_size)
    steps = (
        model.default_steps if request.num_inference_steps is None else request.num_inference_steps
    )
    _within("num_inference_steps", steps, limits.max_steps, model)
    strength = _strength_of(request, task, steps, model)
    _within("n", request.n, limits.max_images, model)
    output_format = _format_of(request, model)
    if request.output_compression is not None and output_format not in ("jpeg", "webp"):
        raise InvalidRequest(
            f"output_compression: {output_format} has none; ask for output_format jpeg or webp",
            param="output_compression",
        )
    if request.partial_images and not request.stream:
        raise InvalidRequest(
            "partial_images: previews come in a stream; ask for one with stream: true",
            param="partial_images",
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
        task=task,
        mask=request.mask,
        strength=strength,
        partial_images=request.partial_images or 0,
    )


def model_of(name: str | None, config: ClusterConfig) -> ModelConfig:
    """The model of that name, the first where none is given; raises `UnknownModel`."""
    if name is None:
        return config.models[0]
    model = config.model_named(name)
    if model is None:
        names = ", ".join(model.name for model in config.models)
        raise UnknownModel(
            f"model: {name[:80]!r} is not served here; the models are {names}", param="model"
        )
    return model


def model_making(name: str | None, config: ClusterConfig, *, videos: bool) -> ModelConfig:
    """The model of that name, or the first that makes videos, or pictures, where none is given.

    Raises:
        InvalidRequest: it makes the other, or none makes what is asked for.
        UnknownModel: there is no such model.
    """
    able = [model for model in config.models if model.makes_videos is videos]
    model = able[0] if name is None and able else model_of(name, config)
    if model not in able:
        wanted, made = ("videos", "pictures") if videos else ("pictures", "videos")
        names = ", ".join(each.name for each in able) or "no model here"
        raise InvalidRequest(
            f"model: {model.name} makes {made}; {wanted} are made by {names}", param="model"
        )
    return model


def _task_of(request: GenerateRequest, model: ModelConfig, picture_field: str) -> Task:
    """What is to be made of what the request brings."""
    if request.mask is not None and not request.images:
        raise InvalidRequest("mask: there is no picture that it could be for", param="mask")
    wanted: tuple[Task, ...]
    if request.mask is not None:
        wanted = (Task.INPAINTING,)
    elif request.images:
        wanted = (Task.IMAGE_EDITING, Task.IMAGE_TO_IMAGE, Task.IMAGE_TO_VIDEO)
    else:
        wanted = (Task.TEXT_TO_IMAGE, Task.TEXT_TO_VIDEO)
    found = next((task for task in wanted if task in model.tasks), None)
    if found is None:
        field = "mask" if request.mask is not None else picture_field
        lack = "takes none" if request.images else "begins from a picture; give one"
        raise InvalidRequest(
            f"{field}: {model.name} {lack} (it does {', '.join(model.tasks)})", param=field
        )
    most = pictures_max(model.pipeline, found)
    if len(request.images) > most:
        raise InvalidRequest(
            f"{picture_field}: {model.name} takes at most {most} for {found}, "
            f"not {len(request.images)}",
            param=picture_field,
        )
    return found


def _strength_of(
    request: GenerateRequest, task: Task, steps: int, model: ModelConfig
) -> float | None:
    if not task.starts_part_way:
        if request.strength is not None:
            raise InvalidRequest(f"strength: {model.name} takes none for {task}", param="strength")
        return None
    usual = MASKED_STRENGTH if task is Task.INPAINTING else model.default_strength
    strength = usual if request.strength is None else request.strength
    if steps_at_strength(steps, strength) == 0:
        raise InvalidRequest(
            f"strength: {strength:g} of {steps} steps leaves none to run; give more",
            param="strength",
        )
    return strength


def _frames_of(request: GenerateRequest, model: ModelConfig) -> int | None:
    """Frames of a clip; None for a picture."""
    if not model.makes_videos:
        for field in ("num_frames", "fps"):
            if getattr(request, field) is not None:
                raise InvalidRequest(
                    f"{field}: {model.name} makes pictures, not videos", param=field
                )
        return None
    frames = model.default_frames if request.num_frames is None else request.num_frames
    assert frames is not None, "a model that makes videos has default_frames"
    _within("num_frames", frames, model.limits.max_frames, model)
    return frames


def _format_of(request: GenerateRequest, model: ModelConfig) -> OutputFormat:
    formats: tuple[OutputFormat, ...] = (
        ("mp4", "webp") if model.makes_videos else ("png", "jpeg", "webp")
    )
    wanted = request.output_format or formats[0]
    if wanted not in formats:
        raise InvalidRequest(
            f"output_format: {model.name} makes {', '.join(formats)}, not {wanted}",
            param="output_format",
        )
    return wanted


def _size_of(
    request: GenerateRequest, model: ModelConfig, picture_size: tuple[int, int] | None
) -> tuple[int, int]:
    if request.size == "auto" and picture_size is not None:
        return fitted_size(picture_size, model)
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
