"""One replica: an engine, or a group of ranks, that does one job at a time and can be stopped."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import ray
from ray import serve
from ray.util import get_current_placement_group
from ray.util.placement_group import PlacementGroup

from cluster.errors import DitServeError, EngineFailed
from cluster.request import Job
from cluster.tiers import Tier
from cluster.watchdog import SilenceLimits, likeness
from deployments.engine import Engine, EngineResult, EngineSpec, Stopped, build_engine
from deployments.pulse import Pulse
from deployments.rank import WasStopped
from deployments.rank_group import RankGroup
from placement.bundles import GroupPlan

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


ReplicaAnswer = Done | NotMine | WasStopped | DitServeError


@dataclass(frozen=True)
class _Running:
    pulse: Pulse
    result: asyncio.Future[EngineResult]
    epoch: int


class DiTReplica:
    """A Serve replica of a pool.

    The engine is called from a thread of its own, apart from any request's context.
    """

    def __init__(self, spec: EngineSpec, plan: GroupPlan) -> None:
        self._config_hash = spec.config_hash
        self._id = serve.get_replica_context().replica_id.unique_id
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._limits = SilenceLimits(spec.watchdog)
        group = get_current_placement_group()
        self._engine = self._thread.submit(_engine, self._id, spec, group, plan).result()
        warm_up_s = self._thread.submit(_timed, self._engine.warm_up).result()
        self._limits.learn((*spec.warm_up_size, spec.warm_up_frames), warm_up_s)
        self._proof_s = max(spec.watchdog.min_s, spec.watchdog.multiple * warm_up_s)
        self._jobs: dict[str, _Running] = {}
        logger.info("%s/%s: %s, engine ready", spec.model, spec.pool, spec.dims.label)

    async def generate(self, job: Job, tier: Tier, *, replica: str, epoch: int) -> ReplicaAnswer:
        """Does a job; expected errors come back as values. The same job again joins the first.

        That happens when a router dies: the new one, of a later `epoch`, is sent what the old one
        had under way. What else the old one left here is stopped.
        """
        if replica != self._id:
            return NotMine()
        for request_id, other in self._jobs.items():
            if other.epoch < epoch and request_id != job.request_id:
                other.pulse.stop()
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
        self._jobs[request_id].pulse.stop()
        return True

    def _begin(self, job: Job, tier: Tier, epoch: int) -> _Running:
        pulse = Pulse(self._limits.limit_s(job), end_process)
        work = self._thread.submit(self._do, job, tier, pulse)
        result = asyncio.wrap_future(work)
        result.add_done_callback(lambda _: self._jobs.pop(job.request_id, None))
        return _Running(pulse, result, epoch)

    def _do(self, job: Job, tier: Tier, pulse: Pulse) -> EngineResult:
        """On the engine's thread: the job, watched over."""
        with pulse:
            result = self._engine.generate(job, tier, pulse.boundary)
        self._limits.learn(likeness(job), pulse.longest_s)
        return result

    async def _prove_engine(self) -> None:
        """After a failed job: an engine that cannot do the least any more ends its process.

        Else it would be the replica that is always free, and fail the whole queue.
        """
        proof = asyncio.wrap_future(self._thread.submit(self._engine.warm_up))
        try:
            await asyncio.wait_for(proof, self._proof_s)
        except Exception:
            logger.exception("the engine fails")
            end_process("the engine is broken")


def _timed(action: Callable[[], None]) -> float:
    """The seconds that an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _engine(
    replica: str, spec: EngineSpec, group: PlacementGroup | None, plan: GroupPlan
) -> Engine:
    """The engine of a replica: its own, or the ranks of its placement group."""
    if spec.dims.world_size == 1:
        return build_engine(spec)
    assert group is not None, "Serve makes the placement group that the pool's options ask for"
    return RankGroup(f"{spec.model}/{spec.pool} {replica}", spec, group, plan, end_process)


def end_process(reason: str) -> None:
    """Ends this replica at once: Serve starts a new one, and its jobs are sent again.

    A replica that lived on would answer the whole queue with errors.
    """
    logger.error("this replica ends: %s", reason)
    logging.shutdown()
    os._exit(1)
