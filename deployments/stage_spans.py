"""The spans of a replica: the stages of a job that it made."""

from __future__ import annotations

import asyncio
import time

from cluster.job import Job
from cluster.tiers import Tier
from cluster.trace_attributes import of_steps, of_tier
from deployments.engine import EngineResult
from deployments.tracing import Tracer


def tell_stages(
    tracer: Tracer,
    parent: str | None,
    pool: str,
    job: Job,
    tier: Tier,
    made: asyncio.Future[EngineResult],
) -> None:
    """Spans of the stages of a job that was made just now; none where it was not made.

    The engine says how long each stage took, summed over the batches of a job's pictures. So they
    are laid end to end, on this machine's clock: the last ends now.
    """
    if parent is None or made.cancelled() or made.exception() is not None:
        return
    result, about = made.result(), of_tier(job, pool, tier)
    begun_s = time.time() - result.engine_s
    for stage, seconds, more in (
        ("encode", result.encode_s, {}),
        ("denoise", result.denoise_s, of_steps(result.steps_computed, result.steps_cached)),
        ("decode", result.decode_s, {}),
    ):
        tracer.past(stage, begun_s, begun_s + seconds, {**about, **more}, parent=parent)
        begun_s += seconds
