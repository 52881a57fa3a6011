"""Deletes what has expired: results by age and size, and videos with their clips."""

from __future__ import annotations

import asyncio
import logging
import time

from cluster.errors import ConfigError, JobStoreUnavailable, ResultsUnavailable
from deployments.job_store import JobStore
from deployments.results import ResultStore
from deployments.shelves import VIDEOS

logger = logging.getLogger("ray.serve")

SWEEP_S = 60.0
"""Between two sweeps of a gateway; several at once do no harm."""


async def keep_swept(results: ResultStore, store: JobStore | None) -> None:
    """Sweeps for ever; without a `store` there are no videos."""
    while True:
        try:
            await asyncio.to_thread(_sweep, results, store, time.time())
        except (ConfigError, JobStoreUnavailable, ResultsUnavailable) as error:
            logger.warning("what has expired is not deleted now: %s", error)
        await asyncio.sleep(SWEEP_S)


def _sweep(results: ResultStore, store: JobStore | None, now_s: float) -> None:
    if store is not None:
        expired = store.expired(now_s)
        for video_id in expired:
            results.delete(VIDEOS.key(video_id))
        store.forget(expired)
    results.sweep(now_s)
