"""Makes the videos that wait in the job store: claims them, has them made, and says how they ended.

Every gateway runs one. Who claimed a video holds a lease on it; if this process dies the lease
lapses and another gateway has the video made. The router joins what is sent under an id that it has
under way, so that no work is done twice while the router lives.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

from cluster.config import ClusterConfig
from cluster.errors import (
    ConfigError,
    DeadlinePassed,
    DitServeError,
    JobStoreUnavailable,
    NoReplica,
    QueueFull,
)
from cluster.job import Job, job_of
from cluster.progress import Progress
from cluster.receipt import GenerateResult
from cluster.trace_attributes import of_receipt
from cluster.video_job import VideoError, VideoJob, VideoStatus, percent_done
from deployments.apart import Apart
from deployments.job_store import JobStore
from deployments.results import ResultStore
from deployments.router_calls import RouterCalls
from deployments.shelves import VIDEOS
from deployments.tracing import NO_TRACES, Tracer

logger = logging.getLogger("ray.serve")

LEASE_S = 10.0
"""After a gateway's death: how long until another one takes its videos."""

RENEW_S = 1.0
"""How often a lease is renewed and progress written; so long at most a deleted video still runs."""

LOOK_S = 2.0
"""How often a gateway looks for videos that nobody holds."""

AGAIN_S = 5.0
"""Before a video that the router could not take, or the store not be told of, is tried again."""

CLAIMS_MOST = 10
"""Of one video, whose gateway died each time; the deaths of replicas are the router's to count."""

HELD_MOST = 200
"""Videos of one gateway at a time; the others wait in the store."""

_Answer = TypeVar("_Answer")


class VideoRunner:
    """The videos that this process holds."""

    def __init__(
        self,
        config: ClusterConfig,
        calls: RouterCalls,
        store: JobStore,
        results: ResultStore,
        tracer: Tracer = NO_TRACES,
    ) -> None:
        self._models = tuple(model.name for model in config.models if model.makes_videos)
        self._calls = calls
        self._store = store
        self._results = results
        self._tracer = tracer
        self._holder = f"gateway-{secrets.token_hex(8)}"
        self._held: dict[str, asyncio.Task[None]] = {}
        self._poked = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Looks for videos from now on, where some model makes them."""
        if self._models:
            self._apart = Apart(asyncio.get_running_loop())
            self._looking = self._apart(self._look())

    async def stop(self) -> None:
        """Hands every video back, for another gateway; the routers go on with them meanwhile."""
        self._stopping = True
        self._poked.set()
        if self._looking is not None:
            await self._looking
        try:
            for video_id in list(self._held):
                await asyncio.to_thread(self._store.release, video_id, self._holder)
        except JobStoreUnavailable as error:
            logger.warning("videos are not handed back, their leases lapse: %s", error)

    def poke(self) -> None:
        """Says that there is a new video."""
        self._poked.set()

    def drop(self, video_id: str) -> None:
        """Stops work on a video that was cancelled or deleted, if it is done here."""
        if task := self._held.get(video_id):
            task.cancel()

    async def _look(self) -> None:
        while not self._stopping:
            self._poked.clear()
            try:
                while len(self._held) < HELD_MOST and (video := await self._claimed()):
                    # One that is held: its lease had lapsed while the store did not answer.
                    if video.id not in self._held:
                        self._hold(video)
            except (ConfigError, JobStoreUnavailable) as error:
                logger.warning("videos wait: %s", error)
            try:
                await asyncio.wait_for(self._poked.wait(), LOOK_S)
            except TimeoutError:
                continue

    async def _claimed(self) -> VideoJob | None:
        return await asyncio.to_thread(
            self._store.claim,
            self._holder,
            time.time(),
            lease_s=LEASE_S,
            max_attempts=CLAIMS_MOST,
            models=self._models,
        )

    def _hold(self, video: VideoJob) -> None:
        task = self._held[video.id] = self._apart(self._work(video))

        def over(ended: asyncio.Task[None]) -> None:
            if self._held.get(video.id) is ended:
                del self._held[video.id]
            if not ended.cancelled() and (error := ended.exception()):
                logger.error("video %s", video.id, exc_info=error)

        task.add_done_callback(over)

    async def _work(self, video: VideoJob) -> None:
        """One video from its claim to its end, or to the loss of the lease."""
        logger.info("video %s: attempt %d", video.id, video.attempts)
        try:
            job = await self._job_of(video)
            about = {"dit_serve.video.claim": video.attempts}
            with self._tracer.begin(
                "video", about, parent=job.traceparent, kind="consumer"
            ) as span:
                result = await self._made(video, span.carried_by(job))
                if result is not None:
                    span.tell(of_receipt(result.receipt))
        except (NoReplica, QueueFull, JobStoreUnavailable) as error:
            logger.warning("video %s waits: %s", video.id, error)
            await asyncio.sleep(AGAIN_S)
            # First: as soon as the store has it back, it may be this process that claims it.
            del self._held[video.id]
            await self._told(lambda: self._store.release(video.id, self._holder))
        except DitServeError as error:
            failure = VideoError(error.code or "failed", error.message)
            await self._told(lambda: self._store.fail(video.id, self._holder, time.time(), failure))
        else:
            if result is not None:
                await self._complete(video, result)

    async def _job_of(self, video: VideoJob) -> Job:
        """The job with what is left of its deadline.

        Raises:
            DeadlinePassed: nothing is left of a deadline that was asked for.
        """
        picture = await asyncio.to_thread(self._store.input_reference, video.id)
        job = job_of(video.job, () if picture is None else (picture,))
        job = replace(job, key_id=video.owner)
        if job.deadline_s is None:
            return job
        left_s = job.deadline_s - (time.time() - video.created_at)
        if left_s <= 0 and job.late == "refuse":
            raise DeadlinePassed(
                f"deadline_ms: {job.deadline_s:g} s passed before the video was begun",
                param="deadline_ms",
            )
        return replace(job, deadline_s=max(left_s, 0.001))

    async def _made(self, video: VideoJob, job: Job) -> GenerateResult | None:
        """The result, with the lease renewed until then; None where the video is lost to us."""
        progress = 0

        async def follow() -> GenerateResult:
            nonlocal progress
            async with aclosing(self._calls.follow(job, RENEW_S)) as happening:
                async for event in happening:
                    if isinstance(event, Progress) and event.steps:
                        progress = percent_done(event.steps_done, event.steps)
                    elif isinstance(event, GenerateResult):
                        return event
            raise AssertionError("what is followed ends with its result")

        work = asyncio.ensure_future(follow())
        try:
            while not (await asyncio.wait((work,), timeout=RENEW_S))[0]:
                if not await self._renewed(video, progress) and not self._stopping:
                    logger.info("video %s is not ours any more", video.id)
                    return None
            return work.result()
        finally:
            work.cancel()

    async def _renewed(self, video: VideoJob, progress: int) -> bool:
        """Whether the video is still ours; a store that does not answer is believed to say so."""
        try:
            return await asyncio.to_thread(
                self._store.renew,
                video.id,
                self._holder,
                time.time(),
                lease_s=LEASE_S,
                progress=progress,
            )
        except JobStoreUnavailable as error:
            logger.warning("video %s goes on without its lease: %s", video.id, error)
            return True

    async def _complete(self, video: VideoJob, result: GenerateResult) -> None:
        """Says that the clip is stored. One that nobody wants any more is deleted."""
        receipt = result.receipt.model_dump(mode="json")
        size = sum(stored.size for stored in result.stored)
        if await self._told(
            lambda: self._store.complete(
                video.id, self._holder, time.time(), receipt=receipt, result_bytes=size
            )
        ):
            return
        now = await self._told(lambda: self._store.get(video.id, video.owner))
        if now is None or now.status in (VideoStatus.CANCELLED, VideoStatus.FAILED):
            await asyncio.to_thread(self._results.delete, VIDEOS.key(video.id))

    async def _told(self, say: Callable[[], _Answer]) -> _Answer:
        """What the store answers, as soon as it does."""
        while True:
            try:
                return await asyncio.to_thread(say)
            except JobStoreUnavailable as error:
                logger.warning("the end of a video is not written yet: %s", error)
                await asyncio.sleep(AGAIN_S)
