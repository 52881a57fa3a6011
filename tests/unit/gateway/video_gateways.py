"""Gateways that share a store and routers, as far as they make videos."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cluster.config import ClusterConfig
from cluster.request import parse_video_request
from cluster.video_job import VideoJob, VideoStatus
from deployments.job_store import JobStore
from deployments.results import ResultStore
from deployments.settled import settled
from deployments.shelves import VIDEOS
from deployments.video_runner import VideoRunner
from tests.unit.gateway.stand_in import Routers

GIVE_UP_S = 60.0
NEVER_S = 3600.0
"""For a period of which no end is to come within a test."""


@dataclass
class Gateways:
    """What gateways share, and what a test does to it."""

    config: ClusterConfig
    routers: Routers
    store: JobStore
    results: ResultStore

    def runner(self) -> VideoRunner:
        return VideoRunner(self.config, self.routers, self.store, self.results)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[VideoRunner]:
        runner = self.runner()
        runner.start()
        yield runner
        await runner.stop()

    async def asked(
        self, model: str = "clips", created_s_ago: float = 0.0, **fields: Any
    ) -> VideoJob:
        """A video that waits in the store."""
        request = parse_video_request({"prompt": "waves"} | fields)
        job = await settled(request.as_generate(model, None), self.config, VIDEOS)
        video = VideoJob(
            id=job.request_id,
            owner="",
            job=job.as_mapping(),
            prompt=job.prompt,
            model=job.model,
            size=f"{job.width}x{job.height}",
            seconds="1",
            created_at=time.time() - created_s_ago,
            request_digest=job.request_id,
        )
        return await asyncio.to_thread(self.store.add, video, request.input_reference)

    def now(self, video: VideoJob) -> VideoJob:
        found = self.store.get(video.id, "")
        assert found is not None
        return found

    async def becomes(self, video: VideoJob, status: VideoStatus) -> VideoJob:
        """The video as it is when it has that status."""
        await self.until(lambda: self.now(video).status is status)
        return self.now(video)

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            await asyncio.sleep(0.01)

    def has_clip(self, video: VideoJob) -> bool:
        return self.results.exists(VIDEOS.key(video.id))


def within_time(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(GIVE_UP_S):
            await work()

    asyncio.run(bounded())
