"""One replica: it owns the engine, does one job at a time, and stops at a step boundary if told."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import ray
from ray import serve

from cluster.errors import DitServeError, EngineFailed
from cluster.request import Job
from cluster.tiers import Tier
from deployments.engine import EngineResult, EngineSpec, Stopped, build_engine

logger = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class Done:
    """A finished job: the statistics by value, the pictures by reference.

    So the router never holds the pictures.
    """

    config_hash: str
    result: EngineResult
    images: ray.ObjectRef[tuple[bytes, ...]]


@dataclass(frozen=True)
class NotMine:
    """The call named another replica, which is gone."""


@dataclass(frozen=True)
class WasStopped:
    """The job was stopped at a step boundary, as told."""


ReplicaAnswer = Done | NotMine | WasStopped | DitServeError


@dataclass(frozen=True)
class _Running:
    stop: threading.Event
    result: asyncio.Future[EngineResult]
    epoch: int


class DiTReplica:
    """A Serve replica of a pool.

    The engine lives on a thread of its own, apart from any request's context.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self._config_hash = spec.config_hash
        self._id = serve.get_replica_context().replica_id.unique_id
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._engine = self._thread.submit(build_engine, spec).result()
        self._thread.submit(self._engine.warm_up).result()
        self._jobs: dict[str, _Running] = {}
        logger.info("%s/%s: engine ready", spec.model, spec.pool)

    async def generate(self, job: Job, tier: Tier, *, replica: str, epoch: int) -> ReplicaAnswer:
        """Does a job; expected errors come back as values. The same job again joins the first.

        That happens when a router dies: the new one, of a later `epoch`, is sent what the old one
        had under way. What else the old one left here is stopped.
        """
        if replica != self._id:
            return NotMine()
        for request_id, other in self._jobs.items():
            if other.epoch < epoch and request_id != job.request_id:
                other.stop.set()
        running = self._jobs.get(job.request_id)
        if running is None:
            running = self._jobs[job.request_id] = self._begin(job, tier, epoch)
        try:
            result = await asyncio.shield(running.result)
        except Stopped:
            return WasStopped()
        except EngineFailed as error:
            await self._prove_engine()
            return error
        except DitServeError as error:
            return error
        statistics = dataclasses.replace(result, images=(), residual_diffs=())
        return Done(self._config_hash, statistics, ray.put(result.images))

    async def stop(self, request_id: str, *, replica: str) -> bool:
        """Stops that job at its next step boundary; False if it is not here."""
        if replica != self._id or request_id not in self._jobs:
            return False
        self._jobs[request_id].stop.set()
        return True

    def _begin(self, job: Job, tier: Tier, epoch: int) -> _Running:
        stop = threading.Event()
        work = self._thread.submit(
            self._engine.generate, job, tier, lambda done, total: not stop.is_set()
        )
        result = asyncio.wrap_future(work)
        result.add_done_callback(lambda _: self._jobs.pop(job.request_id, None))
        return _Running(stop, result, epoch)

    async def _prove_engine(self) -> None:
        """After a failed job: an engine that cannot do the least any more ends its process.

        Else it would be the replica that is always free, and fail the whole queue.
        """
        try:
            await asyncio.wrap_future(self._thread.submit(self._engine.warm_up))
        except Exception:
            logger.exception("the engine is broken; this replica ends")
            os._exit(1)
