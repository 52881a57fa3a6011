"""The shapes of answers, for the OpenAPI document and for tests that hold answers to it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, create_model

from cluster.measured_tiers import MeasuredTier
from cluster.receipt import Receipt
from cluster.tasks import Task


class Shape(BaseModel):
    """An object of exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class ErrorFacts(Shape):
    message: str
    type: str
    param: str | None
    code: str | None
    earliest_feasible_s: float | None = None


class ErrorEnvelope(Shape):
    error: ErrorFacts


class Image(Shape):
    """One of the two: the file, or where it can be fetched."""

    b64_json: str | None = None
    url: str | None = None


class Images(Shape):
    created: int
    data: list[Image]
    output_format: str
    size: str
    receipt: Receipt


class ImageProgress(Shape):
    """Of `step` and `steps` of all pictures together."""

    type: Literal["image_generation.progress", "image_edit.progress"]
    state: Literal["queued", "running"]
    step: int
    steps: int


class ImageFacts(Shape):
    background: Literal["opaque"]
    created_at: int
    output_format: str
    quality: Literal["auto"]
    size: str


class PartialImage(ImageFacts):
    """A preview: the picture as far as it is denoised."""

    type: Literal["image_generation.partial_image", "image_edit.partial_image"]
    b64_json: str
    partial_image_index: int


class TokenDetails(Shape):
    image_tokens: Literal[0]
    text_tokens: Literal[0]


class TokenUsage(Shape):
    """Zeros: work is counted in steps and seconds here, on the receipt."""

    input_tokens: Literal[0]
    input_tokens_details: TokenDetails
    output_tokens: Literal[0]
    total_tokens: Literal[0]


class CompletedImage(ImageFacts):
    """A finished picture: its file, or where it can be fetched."""

    type: Literal["image_generation.completed", "image_edit.completed"]
    b64_json: str | None = None
    url: str | None = None
    usage: TokenUsage
    receipt: Receipt


IMAGE_EVENTS: tuple[type[Shape], ...] = (
    ImageProgress,
    PartialImage,
    CompletedImage,
    ErrorEnvelope,
)
"""The data of the events of a stream."""


class VideoFault(Shape):
    code: str
    message: str


class Video(Shape):
    id: str
    object: Literal["video"]
    model: str
    prompt: str
    status: Literal["queued", "in_progress", "completed", "failed", "cancelled"]
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    seconds: str
    size: str
    error: VideoFault | None
    remixed_from_video_id: None
    receipt: Receipt | None


class VideoPage(Shape):
    object: Literal["list"]
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedVideo(Shape):
    id: str
    object: Literal["video.deleted"]
    deleted: Literal[True]


class ModelLimits(Shape):
    max_prompt_chars: int
    max_side: int
    max_pixels: int
    max_steps: int
    max_images: int
    max_frames: int


class Model(Shape):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    tasks: list[Task]
    tiers: list[str]
    default_tier: str
    default_size: str
    limits: ModelLimits


class ModelList(Shape):
    object: Literal["list"]
    data: list[Model]


_MEASURED: dict[str, Any] = {
    name: (field.annotation, field)
    for name, field in MeasuredTier.model_fields.items()
    if name not in ("model", "pool", "tier")
}

TierMeasurement = create_model(
    "TierMeasurement",
    __base__=Shape,
    __doc__=MeasuredTier.__doc__,
    size=(str, ...),
    computed_share=(float, ...),
    made_at=(str, ...),
    device=(str, ...),
    **_MEASURED,
)


class TierRow(Shape):
    model: str
    pool: str
    tier: str
    parallelism: str
    dtype: str
    quantization: str | None
    cache_config: dict[str, Any]
    measured: list[TierMeasurement]
    measured_refused: str | None


class TierList(Shape):
    object: Literal["list"]
    data: list[TierRow]


class PoolStatus(Shape):
    pool: str
    idle: int
    busy: int
    backlog_s: float


class ModelStatus(Shape):
    model: str
    queued: int
    pools: list[PoolStatus]


class Status(Shape):
    models: list[ModelStatus]


class Health(Shape):
    status: Literal["ok"]


class Ready(Shape):
    status: Literal["ready"]
    replicas: dict[str, dict[str, int]]
