"""A request with nothing left open: what a router orders and an engine does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cluster.key_limits import KeyLimits
from cluster.tasks import Task
from cluster.tiers import Tier

OutputFormat = Literal["png", "jpeg", "webp", "mp4"]
SEED_MAX = 2**63 - 1


@dataclass(frozen=True)
class Job:
    """A settled request.

    The same job gives the same bytes on any replica of one shape. `deadline_s` is in seconds after
    the router took the job; None is no deadline. `late` says what becomes of a job whose deadline
    is out of reach: refused at once, or run last. `caller` is whose job it is, for fairness.
    `attempt` counts the times that it was sent. `images` are whole files of pictures to begin from,
    `mask` a file whose transparent pixels are to be redrawn. `strength`, 0 to 1, is how much of the
    schedule is run on them. `partial_images` is how many previews are wanted. With `store_as`, the
    pictures go to the result store under that key, with "_0" and so on where there may be several,
    instead of back to the caller. `traceparent` is the span to which those of this job belong (W3C
    Trace Context); it makes no other job, and nor do `key_id`, the id of the key that asked, and
    `limits`, those of that key.
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
    task: Task = Task.TEXT_TO_IMAGE
    mask: bytes | None = None
    strength: float | None = None
    partial_images: int = 0
    store_as: str | None = None
    traceparent: str | None = field(default=None, compare=False)
    key_id: str = field(default="", compare=False)
    limits: KeyLimits | None = field(default=None, compare=False)

    @property
    def turn(self) -> str:
        """Who is fair to whom: keys to keys, or where there are none, users to users.

        One key may name many users, and gets no more turns for it.
        """
        return self.key_id or self.caller

    @property
    def steps(self) -> int:
        """Denoising steps of one picture: all, or with `strength` the last of them.

        Reckoned as diffusers' image-to-image pipelines do in `get_timesteps`.
        """
        if self.strength is None:
            return self.num_inference_steps
        return steps_at_strength(self.num_inference_steps, self.strength)

    def as_mapping(self) -> dict[str, Any]:
        """What JSON can hold of it: all but the files and the key's id and limits, kept apart.

        An untraced job has no `traceparent` there.
        """
        mapping = asdict(self)
        for name in ("images", "mask", "key_id", "limits"):
            del mapping[name]
        if self.traceparent is None:
            del mapping["traceparent"]
        return mapping


def job_of(
    mapping: Mapping[str, Any], images: tuple[bytes, ...] = (), mask: bytes | None = None
) -> Job:
    """The job that `as_mapping` told, with its files."""
    floor = mapping["min_tier"]
    return Job(
        **{
            **mapping,
            "min_tier": None if floor is None else Tier(floor),
            "task": Task(mapping["task"]),
        },
        images=images,
        mask=mask,
    )


def steps_at_strength(num_inference_steps: int, strength: float) -> int:
    """Steps that are run when denoising begins part way; 0 where `strength` is too little."""
    begun = min(num_inference_steps * strength, num_inference_steps)
    return num_inference_steps - int(max(num_inference_steps - begun, 0))
