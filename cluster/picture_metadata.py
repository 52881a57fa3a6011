"""What a picture's file says of how it was made."""

from __future__ import annotations

from typing import Literal

from cluster.job import SEED_MAX, Job
from cluster.tiers import Tier

PictureMetadata = Literal["none", "settings", "all"]
"""`settings` is what decides the picture, so that the same request still gives the same bytes;
`all` has the request's id as well, which differs each time."""


def picture_metadata(job: Job, tier: Tier, index: int, level: PictureMetadata) -> dict[str, str]:
    """The names and values for picture `index` of a job."""
    if level == "none":
        return {}
    settings = {
        "model": job.model,
        "tier": tier.value,
        "seed": str((job.seed + index) % (SEED_MAX + 1)),
        "num_inference_steps": str(job.num_inference_steps),
    }
    return settings if level == "settings" else settings | {"request_id": job.request_id}
