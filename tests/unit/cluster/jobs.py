"""Jobs for the tests of the policy: as settled, and as they stand in line."""

from __future__ import annotations

from typing import Any

from cluster.job import Job
from cluster.queue import Offer, Waiting
from cluster.tiers import Tier


def job(request_id: str = "a", **fields: Any) -> Job:
    """A small picture of eight steps, in any tier, without a deadline."""
    usual: dict[str, Any] = {
        "model": "shapes",
        "prompt": "a red circle",
        "n": 1,
        "width": 128,
        "height": 128,
        "tier_requested": "auto",
        "min_tier": None,
        "num_inference_steps": 8,
        "seed": 7,
    }
    return Job(request_id, **usual | fields)


def waiting(
    number: int,
    *,
    due_s: float = 10.0,
    least_s: float = 1.0,
    arrived_s: float = 0.0,
    promised: bool = False,
    pools: tuple[str, ...] = ("p",),
    **fields: Any,
) -> Waiting:
    """Job of that number in line, with the same offer from each pool."""
    offers = {pool: Offer((Tier.ULTRA,), least_s) for pool in pools}
    return Waiting(
        job(str(number), **fields), arrived_s, number, due_s, promised, measured=True, offers=offers
    )
