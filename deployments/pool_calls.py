"""Calls to the replicas of a model's pools, each to the one that the router named."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import RayServeException

from cluster.errors import EngineFailed
from cluster.job import Job
from cluster.measured_tiers import Platform
from cluster.progress import Seen
from cluster.routing import Dispatch
from deployments.job_progress import Watched
from deployments.jobs_here import Epoch
from deployments.replica import Audited, NotMine, ReplicaAnswer
from deployments.replica_directory import ReplicaGone

logger = logging.getLogger("ray.serve")


STOP_AGAIN_S = 0.2
"""Before a replica that did not know a job is told again to stop it."""


@dataclass(frozen=True)
class ReplicaDied:
    """The replica's process ended before it answered."""


class PoolCalls:
    """The pools' Serve handles; what goes wrong with a call is a value."""

    def __init__(self, handles: Mapping[str, Any]) -> None:
        """`handles` has the Serve handle of each pool by the pool's name."""
        self._handles = handles
        router = ray.get_runtime_context().get_actor_id() or ""
        self._epoch = Epoch(time.time_ns(), router)

    async def generate(
        self, dispatch: Dispatch, traceparent: str | None
    ) -> ReplicaAnswer | ReplicaDied:
        """What the replica answers; its spans go under that one."""
        job = replace(dispatch.waiting.job, traceparent=traceparent)
        try:
            answer: ReplicaAnswer = await self._handles[dispatch.pool].generate.remote(
                job, dispatch.tier, replica=dispatch.replica, epoch=self._epoch
            )
        except RayActorError:
            return ReplicaDied()
        except ReplicaGone:
            return NotMine()
        except (RayError, RayServeException) as error:
            logger.exception("request %s failed in pool %s", job.request_id, dispatch.pool)
            cause = getattr(error, "cause", error)
            return EngineFailed(f"the replica failed on this request: {type(cause).__name__}")
        return answer

    async def proven(self, dispatch: Dispatch) -> None:
        """Waits until the replica of that corrupt output has proved itself, or ended over it."""
        try:
            await self._handles[dispatch.pool].proven.remote(replica=dispatch.replica)
        except (RayError, RayServeException, ReplicaGone) as error:
            logger.warning("replica %s has not proved itself: %r", dispatch.replica, error)

    async def watch(self, dispatch: Dispatch, seen: Seen) -> Watched | None:
        """What is new of that job on its replica; None where it is not there."""
        job = dispatch.waiting.job
        try:
            found: Watched | None = await self._handles[dispatch.pool].watch.remote(
                job.request_id, seen, replica=dispatch.replica
            )
        except (RayError, RayServeException, ReplicaGone) as error:
            logger.info("replica %s does not tell of its job: %r", dispatch.replica, error)
            return None
        return found

    async def audit(
        self, pool: str, replica: str, job: Job, images: ray.ObjectRef[tuple[bytes, ...]]
    ) -> ReplicaAnswer | Audited | ReplicaDied:
        """How far those pictures are from the same job at `none`, made by that replica."""
        try:
            found: Audited | ReplicaAnswer = await self._handles[pool].audit.remote(
                job, [images], replica=replica, epoch=self._epoch
            )
        except (RayError, RayServeException, ReplicaGone) as error:
            logger.info("no audit of %s: %r", job.request_id, error)
            return ReplicaDied()
        return found

    async def platform(self, pool: str, replica: str) -> Platform | None:
        """What that replica runs on; None where it is gone."""
        try:
            found: Platform | NotMine = await self._handles[pool].platform.remote(replica=replica)
        except (RayError, RayServeException, ReplicaGone) as error:
            logger.info("replica %s did not say what it runs on: %r", replica, error)
            return None
        return found if isinstance(found, Platform) else None

    async def stop(
        self, pool: str, replica: str, request_id: str, is_running: Callable[[], bool]
    ) -> None:
        """Stops that job at its next step boundary.

        Tells the replica until it knows the job, as long as that runs: the word may overtake the
        job itself. A replica that cannot be told is gone, or about to be.
        """
        try:
            while is_running() and not await self._handles[pool].stop.remote(
                request_id, replica=replica
            ):
                await asyncio.sleep(STOP_AGAIN_S)
        except (RayError, RayServeException, ReplicaGone) as error:
            logger.info("replica %s was not told to stop: %r", replica, error)
