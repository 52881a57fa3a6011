"""A new video is counted to its key and kept, once for each request however often it is sent."""

from __future__ import annotations

import asyncio

from cluster.job import Job
from cluster.video_job import VideoJob
from deployments.job_store import JobStore
from deployments.router_calls import RouterCalls


async def taken_in(
    video: VideoJob, job: Job, picture: bytes | None, store: JobStore, calls: RouterCalls
) -> VideoJob:
    """The video as it is kept, or the one that the same request made before, which counts already.

    Raises:
        DitServeError: as `RouterCalls.reserve` and `JobStore.add` do.
    """
    if video.idempotency_key is not None:
        earlier = await asyncio.to_thread(store.earlier, video)
        if earlier is not None:
            return earlier
    await calls.reserve(job)
    kept = None
    try:
        kept = await asyncio.to_thread(store.add, video, picture)
    finally:
        if kept is None or kept.id != video.id:
            await calls.release(job)
    return kept
