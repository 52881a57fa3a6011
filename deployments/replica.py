"""One replica: an engine, or a group of ranks, that does one job at a time and can be stopped."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import ray
from ray import serve
from ray.util import get_current_placement_group
from ray.util.placement_group import PlacementGroup

from cluster.errors import DitServeError, EngineFailed, NoReplica, OutputCorrupt
from cluster.job import Job
from cluster.measured_tiers import Platform
from cluster.progress import Seen
from cluster.tiers import Tier
from cluster.tracing import TracingConfig
from cluster.watchdog import SilenceLimits, likeness
from deployments.engine import Engine, EngineResult, EngineSpec, Stopped, build_engine
from deployments.job_progress import JobProgress, Watched
from deployments.jobs_here import Epoch, Running, has_ended, stop_what_was_left
from deployments.library_versions import library_versions
from deployments.pulse import Pulse
from deployments.rank import WasStopped
from deployments.rank_group import RankGroup
from deployments.stage_spans import tell_stages
from deployments.termination import end_process, on_sigterm
from deployments.tracing import tracer_of
from placement.bundles import GroupPlan

logger = logging.getLogger("ray.serve")

WATCH_S = 5.0
"""How long a watcher waits at most for something new."""

ANSWER_S = 0.2
"""After corrupt output: the answer leaves before the proof begins, which may end the process."""

NEWER_S = 1.0
"""Before a newer config's router asks again for a tier that only this replica's successor has."""

FETCH_S = 2.0
"""How long a gateway may take to fetch pictures from a replica that Serve has told to stop."""


@dataclass(frozen=True)
class Done:
    """A finished job: the statistics by value, the pictures by reference.

    So the router never holds the pictures. `load_s` is how long this replica took from the first
    line of its own code until it was ready.
    """

    config_hash: str
    result: EngineResult
    images: ray.ObjectRef[tuple[bytes, ...]]
    load_s: float


@dataclass(frozen=True)
class NotMine:
    """The call named another replica, which is gone."""


@dataclass(frozen=True)
class Audited:
    """A job made again at `none`: seconds of the engine, and how near the other pictures are.

    PSNR in dB, the mean of all pictures; equal ones count as `deployments.fidelity.NEAREST_DB`.
    """

    engine_s: float
    psnr_db: float


ReplicaAnswer = Done | NotMine | WasStopped | DitServeError


class DiTReplica:
    """A Serve replica of a pool.

    The engine is called from a thread of its own, apart from any request's context.
    """

    def __init__(
        self, spec: EngineSpec, plan: GroupPlan, tracing: TracingConfig | None = None
    ) -> None:
        began_s = time.monotonic()
        self._began_ns = time.time_ns()
        self._tiers = frozenset(spec.tiers)
        self._tracer = tracer_of(tracing, "replica")
        self._pool = spec.pool
        self._done_s = -math.inf
        self._epoch = Epoch()
        self._config_hash = spec.config_hash
        self._id = serve.get_replica_context().replica_id.unique_id
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._limits = SilenceLimits(spec.watchdog)
        group = get_current_placement_group()
        self._engine = self._thread.submit(_engine, self._id, spec, group, plan).result()
        warm_up_began_s = time.perf_counter()
        self._thread.submit(self._engine.warm_up).result()
        warm_up_s = time.perf_counter() - warm_up_began_s
        self._limits.learn((*spec.warm_up_size, spec.warm_up_frames, 1), warm_up_s)
        self._proof_s = max(spec.watchdog.min_s, spec.watchdog.multiple * warm_up_s)
        device = self._thread.submit(self._engine.device_name).result()
        self._platform = Platform(device=device, versions=library_versions())
        self._jobs: dict[str, Running] = {}
        self._proof: asyncio.Task[None] | None = None
        self._leaving = False
        on_sigterm(asyncio.get_event_loop(), self._leave)
        self._load_s = time.monotonic() - began_s
        logger.info(
            "%s/%s: %s, engine ready after %.1f s",
            spec.model,
            spec.pool,
            spec.dims.label,
            self._load_s,
        )

    async def generate(self, job: Job, tier: Tier, *, replica: str, epoch: Epoch) -> ReplicaAnswer:
        """Does a job; expected errors come back as values. The same job again joins the first.

        That happens when a router dies: the new one, of a later `epoch`, is sent what the old one
        had under way. What else a dead one left here is stopped.
        """
        if replica != self._id:
            return NotMine()
        if tier not in self._tiers:
            return await self._of_another_config(tier, epoch)
        if epoch > self._epoch:
            self._epoch = epoch
            await stop_what_was_left(self._jobs, epoch, besides=job.request_id)
        elif epoch < self._epoch and await has_ended(epoch):
            return NoReplica("another router has taken over; ask again", retry_after_s=5)
        running = self._jobs.get(job.request_id)
        if running is None:
            if self._leaving:
                await asyncio.Event().wait()
            running = self._jobs[job.request_id] = self._begin(job, tier, epoch)
        running.epoch = max(running.epoch, epoch)
        running.traceparent = job.traceparent
        try:
            result = await asyncio.shield(running.result)
        except Stopped:
            return WasStopped()
        except OutputCorrupt as error:
            self._proof = asyncio.create_task(self._prove_after_answer())
            return error
        except EngineFailed as error:
            await self._prove_engine()
            return error
        except DitServeError as error:
            return error
        self._done_s = time.monotonic()
        statistics = dataclasses.replace(result, images=(), residual_diffs=())
        return Done(self._config_hash, statistics, ray.put(result.images), self._load_s)

    async def audit(
        self,
        job: Job,
        images: Sequence[ray.ObjectRef[tuple[bytes, ...]]],
        *,
        replica: str,
        epoch: Epoch,
    ) -> Audited | NotMine | WasStopped | DitServeError:
        """Makes a job again at `none`, and says how far the one reference's pictures are from it.

        A list, since Ray would fetch a bare reference before the call.
        """
        if replica != self._id:
            return NotMine()
        running = self._jobs[job.request_id] = self._begin(job, Tier.NONE, epoch)
        try:
            result = await asyncio.shield(running.result)
        except Stopped:
            return WasStopped()
        except DitServeError as error:
            return error
        served = await images[0]
        return Audited(result.engine_s, await asyncio.to_thread(_psnr_db, served, result.images))

    async def proven(self, *, replica: str) -> None:
        """After corrupt output: waits for the proof that follows it, which may end this process."""
        if replica == self._id and self._proof is not None:
            await asyncio.shield(self._proof)

    async def platform(self, *, replica: str) -> Platform | NotMine:
        """What this replica runs on."""
        return self._platform if replica == self._id else NotMine()

    async def watch(self, request_id: str, seen: Seen, *, replica: str) -> Watched | None:
        """What is new of that job, after `WATCH_S` at most; None if it is not here."""
        if replica != self._id or request_id not in self._jobs:
            return None
        return await self._jobs[request_id].progress.beyond(seen, WATCH_S)

    async def stop(self, request_id: str, *, replica: str) -> bool:
        """Stops that job at its next step boundary; False if it is not here."""
        if replica != self._id or request_id not in self._jobs:
            return False
        self._jobs[request_id].pulse.stop()
        return True

    async def __del__(self) -> None:
        """Serve waits for this when it has told the replica to stop and no job is left.

        The last pictures are lost with this process if the gateway has not fetched them.
        """
        await asyncio.to_thread(self._tracer.close)
        await asyncio.sleep(self._done_s + FETCH_S - time.monotonic())

    async def _of_another_config(self, tier: Tier, epoch: Epoch) -> NotMine | NoReplica:
        """A router of another config asks for a tier that only the other has."""
        if epoch.began_ns < self._began_ns:
            return NoReplica(f"{self._pool}: serves {tier} no more; ask again", retry_after_s=5)
        await asyncio.sleep(NEWER_S)
        return NotMine()

    async def _leave(self) -> None:
        """Finishes what runs here; what comes meanwhile is sent elsewhere once this has ended."""
        self._leaving = True
        while self._jobs:
            await asyncio.wait([running.result for running in self._jobs.values()])
        await self.__del__()

    def _begin(self, job: Job, tier: Tier, epoch: Epoch) -> Running:
        pulse = Pulse(self._limits.limit_s(job), end_process)
        progress = JobProgress(job.n * job.steps, asyncio.get_running_loop())
        work = self._thread.submit(self._do, job, tier, pulse, progress)
        result = asyncio.wrap_future(work)

        def over(made: asyncio.Future[EngineResult]) -> None:
            traceparent = self._jobs.pop(job.request_id).traceparent
            progress.end()
            tell_stages(self._tracer, traceparent, self._pool, job, tier, made)

        result.add_done_callback(over)
        return Running(pulse, progress, result, epoch)

    def _do(self, job: Job, tier: Tier, pulse: Pulse, progress: JobProgress) -> EngineResult:
        """On the engine's thread: the job, watched over."""

        def boundary(done: int, total: int) -> bool:
            progress.stepped(done)
            return pulse.boundary(done, total)

        with pulse:
            result = self._engine.generate(job, tier, boundary, progress.add_preview)
        self._limits.learn(likeness(job), pulse.longest_s)
        return result

    async def _prove_after_answer(self) -> None:
        await asyncio.sleep(ANSWER_S)
        await self._prove_engine()

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


def _psnr_db(files: Sequence[bytes], references: Sequence[bytes]) -> float:
    """Imported here: scikit-image takes a second, and few replicas audit."""
    from deployments.fidelity import files_psnr_db

    return files_psnr_db(files, references)


def _engine(
    replica: str, spec: EngineSpec, group: PlacementGroup | None, plan: GroupPlan
) -> Engine:
    """The engine of a replica: its own, or the ranks of its placement group."""
    if spec.dims.world_size == 1:
        return build_engine(spec)
    assert group is not None, "Serve makes the placement group that the pool's options ask for"
    return RankGroup(f"{spec.model}/{spec.pool} {replica}", spec, group, plan, end_process)
