"""What the spans of a request say. Never its prompt, its pictures or who its caller is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.errors import DitServeError
from cluster.job import Job
from cluster.receipt import Receipt
from cluster.routing import Dispatch
from cluster.tiers import Tier

Attributes = Mapping[str, str | bool | int | float]
"""Attributes of a span by name. Names end with their unit, where they have one."""

REQUEST_ID = "dit_serve.request.id"
OUTCOME = "dit_serve.outcome"
"""`ok`, `cancelled`, or the code of an error, as `dit_serve_requests_total` counts them."""


def of_request(job: Job) -> Attributes:
    """What was asked for."""
    return {
        **of_job(job),
        **_given(
            {
                "dit_serve.task": job.task.value,
                "dit_serve.images": job.n,
                "dit_serve.width_px": job.width,
                "dit_serve.height_px": job.height,
                "dit_serve.frames": job.num_frames,
                "dit_serve.steps": job.num_inference_steps,
                "dit_serve.deadline_s": job.deadline_s,
            }
        ),
    }


def of_job(job: Job) -> Attributes:
    """What every span of a request says."""
    return {
        REQUEST_ID: job.request_id,
        "dit_serve.model": job.model,
        "dit_serve.tier.requested": job.tier_requested,
    }


def of_tier(job: Job, pool: str, tier: Tier) -> Attributes:
    """Where and how a request is made."""
    return {**of_job(job), "dit_serve.pool": pool, "dit_serve.tier.served": tier.value}


def of_dispatch(dispatch: Dispatch) -> Attributes:
    """What the router chose. The first attempt is 1; no forecast where nothing was measured."""
    waiting, forecast = dispatch.waiting, dispatch.forecast
    return {
        **of_tier(waiting.job, dispatch.pool, dispatch.tier),
        **_given(
            {
                "dit_serve.replica": dispatch.replica,
                "dit_serve.attempt": waiting.job.attempt + waiting.attempts,
                "dit_serve.forecast_s": forecast.p50_s if forecast.measured else None,
            }
        ),
    }


def of_steps(computed: int, cached: int) -> Attributes:
    """Denoising steps, summed over the pictures."""
    return {"dit_serve.steps.computed": computed, "dit_serve.steps.cached": cached}


def of_receipt(receipt: Receipt) -> Attributes:
    """What was done for a request that has its result."""
    return {
        OUTCOME: "ok",
        **of_steps(receipt.steps_computed, receipt.steps_cached),
        **_given(
            {
                "dit_serve.pool": receipt.pool,
                "dit_serve.tier.served": str(receipt.tier_served),
                "dit_serve.attempts": receipt.attempts,
                "dit_serve.deadline_met": receipt.deadline_met,
                "dit_serve.config_hash": receipt.config_hash,
            }
        ),
    }


def of_error(error: DitServeError) -> Attributes:
    """How a request ended that has no result: the code that its caller sees, not the message.

    The message may quote what the caller sent.
    """
    return of_failure(error.code or "failed")


def of_failure(kind: str) -> Attributes:
    """The same for what is no error of ours."""
    return {OUTCOME: kind, "error.type": kind}


def _given(values: Mapping[str, Any]) -> Attributes:
    return {name: value for name, value in values.items() if value is not None}
