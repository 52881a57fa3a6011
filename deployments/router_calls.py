"""Calls to the models' routers: a job is sent again after a death, and can be watched."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ray.exceptions import ObjectLostError, RayActorError
from ray.serve.exceptions import RayServeException

from cluster.errors import DeadlinePassed, DitServeError, LimitReached, NoReplica
from cluster.job import Job
from cluster.progress import Progress, Seen
from cluster.receipt import GenerateResult
from deployments.job_progress import Watched
from deployments.served import RouterAnswer

logger = logging.getLogger("ray.serve")

ROUTER_ANSWER_S = 3.0
"""How long a question to one router may take."""

FETCH_S = 15.0
"""How long files may take from the node that made them.

They are a few MB. When they take longer, one of the two nodes does not answer, for which Ray itself
takes a minute to give it up.
"""

LATE_ALREADY_S = 0.001
"""The deadline of a job that is sent again after its own has passed."""

WATCH_EVERY_S = 0.1
"""A watcher is told no more often: each word costs three processes some of their time."""

File = TypeVar("File", bytes, tuple[bytes, ...])

JobEvent = Progress | bytes | GenerateResult
"""Progress, the file of a preview, and at last the result."""


class RouterCalls:
    """The routers' Serve handles."""

    def __init__(self, handles: Mapping[str, Any], max_attempts: int) -> None:
        """`handles` has the handle of each model's router by the model's name."""
        self._handles = handles
        self._max_attempts = max_attempts

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self._handles)

    async def submit(self, job: Job) -> GenerateResult:
        """The result of a job; cancelling this stops it.

        Raises:
            DitServeError: it is refused, or could not be finished.
        """
        arrived_s = time.monotonic()
        for attempt in range(1, self._max_attempts + 1):
            try:
                answer = await self._send(_again(job, attempt, time.monotonic() - arrived_s))
                if isinstance(answer, DitServeError):
                    raise answer
                images = () if job.store_as else await _fetched(answer.images)
                return GenerateResult(images, answer.receipt, job.output_format, answer.stored)
            except (RayActorError, ObjectLostError, TimeoutError) as error:
                logger.warning(
                    "request %s: the router or the pictures are lost, attempt %d: %r",
                    job.request_id,
                    attempt,
                    error,
                )
            except RayServeException as error:
                raise NoReplica(
                    f"{job.model}: no router takes requests now; try again later", retry_after_s=5
                ) from error
        raise NoReplica(
            f"{job.model}: the router or the pictures were lost {self._max_attempts} times on this "
            "request; try again later",
            retry_after_s=5,
        )

    async def reserve(self, job: Job) -> None:
        """Counts a video to its key's limits before its job is kept to be sent later.

        Raises:
            LimitReached: the key has used what it may.
            NoReplica: the router that counts does not answer.
        """
        if job.limits is None:
            return
        try:
            call = self._handles[job.model].reserve.remote(replace(job, images=()))
            refusal: LimitReached | None = await asyncio.wait_for(call, ROUTER_ANSWER_S)
        except (RayActorError, RayServeException, TimeoutError) as error:
            raise NoReplica(
                f"{job.model}: no router counts requests now; try again later", retry_after_s=5
            ) from error
        if refusal is not None:
            raise refusal

    async def release(self, job: Job) -> None:
        """The job of a reserved video will not be sent; where no router hears it, it lapses."""
        if job.limits is None:
            return
        try:
            call = self._handles[job.model].release.remote(replace(job, images=()))
            await asyncio.wait_for(call, ROUTER_ANSWER_S)
        except (RayActorError, RayServeException, TimeoutError) as error:
            logger.info("video %s stays reserved for a while: %r", job.request_id, error)

    async def follow(
        self, job: Job, every_s: float = WATCH_EVERY_S
    ) -> AsyncGenerator[JobEvent, None]:
        """What becomes of a job, to its result; closing the iterator stops it. Raises as `submit`.

        Progress comes no more often than `every_s`. The job is sent from a context of its own:
        Serve mixes up calls that are made side by side within one request.
        """
        result = asyncio.get_running_loop().create_task(
            self.submit(job), context=contextvars.Context()
        )
        seen, steps = Seen(), job.n * job.steps
        try:
            while not result.done():
                watch = asyncio.ensure_future(self._watch(job, seen))
                try:
                    await asyncio.wait((result, watch), return_when=asyncio.FIRST_COMPLETED)
                    if not watch.done():
                        break
                finally:
                    watch.cancel()
                if (new := watch.result()) is not None:
                    yield replace(new.progress, steps=steps)
                    for preview in new.previews:
                        if (file := await _preview(preview)) is not None:
                            yield file
                    seen = Seen(new.progress.steps_done, seen.previews + len(new.previews))
                await asyncio.wait((result,), timeout=every_s)
            yield await result
        finally:
            result.cancel()

    async def ask_all(self, method: str) -> dict[str, Any]:
        """The answers to a question by model, without the routers that are dead or slow."""

        async def ask(model: str) -> Any:
            call = getattr(self._handles[model], method).remote()
            return await asyncio.wait_for(call, ROUTER_ANSWER_S)

        asked = [ask(model) for model in self._handles]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for model, answer in zip(self._handles, answers, strict=True):
            if isinstance(answer, BaseException):
                logger.warning("the router of %s does not tell its %s: %r", model, method, answer)
        return {
            model: answer
            for model, answer in zip(self._handles, answers, strict=True)
            if not isinstance(answer, BaseException)
        }

    async def _send(self, job: Job) -> RouterAnswer:
        response = self._handles[job.model].generate.remote(job)
        try:
            answer: RouterAnswer = await response
        except asyncio.CancelledError:
            response.cancel()
            raise
        return answer

    async def _watch(self, job: Job, seen: Seen) -> Watched | None:
        """What is new of a job; None from a router that does not know it or cannot answer."""
        try:
            found: Watched | None = await self._handles[job.model].watch.remote(
                job.request_id, seen
            )
        except (RayActorError, RayServeException) as error:
            logger.info("request %s is not watched: %r", job.request_id, error)
            return None
        return found


async def _fetched(files: Awaitable[File]) -> File:
    """Files from where they were made.

    Raises:
        TimeoutError: they do not come.
        RayActorError, ObjectLostError: the process that made them has died.
    """
    async with asyncio.timeout(FETCH_S):
        return await files


async def _preview(file: Awaitable[bytes]) -> bytes | None:
    """The file of a preview; None where it is lost."""
    try:
        return await _fetched(file)
    except (RayActorError, ObjectLostError, TimeoutError) as error:
        logger.info("a preview is lost: %r", error)
        return None


def _again(job: Job, attempt: int, elapsed_s: float) -> Job:
    """The job as it is sent now: with what is left of its deadline.

    Raises:
        DeadlinePassed: nothing is left of a deadline that was promised.
    """
    if job.deadline_s is None or attempt == 1:
        return replace(job, attempt=attempt)
    left_s = job.deadline_s - elapsed_s
    if left_s <= 0 and job.late == "refuse":
        raise DeadlinePassed(
            f"deadline_ms: the deadline of {job.deadline_s:g} s passed before it could go again",
            param="deadline_ms",
        )
    return replace(job, attempt=attempt, deadline_s=max(left_s, LATE_ALREADY_S))
