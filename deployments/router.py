"""The router of one model: the only place where order, tier and pool are chosen.

The choice itself is `cluster.scheduler.Scheduler`, which the simulator runs as well; here are what
it is told (arrivals, replicas, receipts) and what becomes of its decisions.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from prometheus_client.metrics_core import Metric

from cluster.autoscaling import PoolDemand
from cluster.config import ModelConfig
from cluster.cost import CostModel
from cluster.errors import DeadlinePassed, DitServeError, EngineFailed, Failure, NoReplica
from cluster.job import Job
from cluster.measured_tiers import PoolMeasurements, TiersTable
from cluster.pool_load import ModelLoad
from cluster.progress import Progress, Seen
from cluster.queue import Waiting
from cluster.routing import Dispatch
from cluster.scheduler import Scheduler
from deployments import replica_directory
from deployments.apart import Apart
from deployments.audits import Audit, Audits
from deployments.job_progress import Watched
from deployments.measured_pools import MeasuredPools
from deployments.metrics import RouterMetrics
from deployments.options import pool_name
from deployments.pool_calls import PoolCalls, ReplicaDied
from deployments.rank import WasStopped
from deployments.receipts import measured, served_job
from deployments.replica import Done, NotMine, ReplicaAnswer
from deployments.scaling import keep_telling
from deployments.served import RouterAnswer

logger = logging.getLogger("ray.serve")

QUEUE_LOOK_S = 0.2
"""How often a watcher of a job in line hears that it is still there."""

RETRY_PAUSE_S = 0.2
"""After a replica died: time for Serve to tell that it is gone; five times longer each time."""


class Router:
    """A Serve deployment of one replica: the central queue of a model."""

    def __init__(
        self,
        model: ModelConfig,
        max_attempts: int,
        pools: Mapping[str, Any],
        tiers: TiersTable | None,
    ) -> None:
        """`pools` has the Serve handle of each pool by its name, `tiers` what was measured."""
        self._model = model
        self._max_attempts = max_attempts
        self._pools = PoolCalls(pools)
        self._costs = CostModel(model)
        self._measured = MeasuredPools(model, tiers, self._costs, self._pools)
        self._scheduler = Scheduler(model, self._costs)
        self._answers: dict[str, asyncio.Future[RouterAnswer]] = {}
        self._callers: dict[str, asyncio.Task[Any] | None] = {}
        self._running: dict[str, Dispatch] = {}
        self._metrics = RouterMetrics(model)
        self._audits = Audits(model, self._pools, self._metrics)
        self._loop = asyncio.get_event_loop()
        self._apart = Apart(self._loop)
        replica_directory.on_change(self._replicas_changed)
        for handle in pools.values():
            handle._init()
        scaling = [pool for pool in model.pools if pool.autoscaling.scales]
        if deployments := {pool.name: pool_name(model, pool) for pool in scaling}:
            self._apart(keep_telling(deployments, self._demand))

    async def generate(self, job: Job) -> RouterAnswer:
        """The result of a job, or the error why there is none.

        A call again with the same id joins the first, and alone can give the job up from then on:
        the caller before has died, or thinks so itself.
        """
        answer = self._answers.get(job.request_id) or self._admit(job)
        caller = self._callers[job.request_id] = asyncio.current_task()
        answer.add_done_callback(lambda _: self._callers.pop(job.request_id, None))
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            if self._callers.get(job.request_id) is caller:
                self._abandon(job)
            raise

    async def watch(self, request_id: str, seen: Seen) -> Watched | None:
        """What is new of a job, after a while at most; None while or when it is not here."""
        if request_id not in self._answers:
            return None
        if dispatch := self._running.get(request_id):
            return await self._pools.watch(dispatch, seen)
        await asyncio.sleep(QUEUE_LOOK_S)
        return Watched(Progress("queued", 0, 0))

    async def load(self) -> ModelLoad:
        """How busy the model's pools are."""
        return self._scheduler.load(time.monotonic())

    async def metrics(self) -> list[Metric]:
        """What this router counted."""
        load = await self.load()
        return self._metrics.now(load.queued, load.pools)

    async def replicas(self) -> dict[str, int]:
        """Running replicas by pool."""
        return {pool.name: len(self._replicas_of(pool.name)) for pool in self._model.pools}

    async def measured_tiers(self) -> Mapping[str, PoolMeasurements]:
        """What the tiers of each pool were measured to cost and give."""
        return self._measured.published()

    def _admit(self, job: Job) -> asyncio.Future[RouterAnswer]:
        """Takes a job into the line, or refuses it."""
        answer = self._answers[job.request_id] = self._loop.create_future()
        answer.add_done_callback(lambda _: self._answers.pop(job.request_id, None))
        if refusal := self._scheduler.arrive(job, time.monotonic()):
            self._end(job, refusal)
            return answer
        self._send_what_can_go()
        self._later(self._model.no_replica_s, self._give_up_without_replica, job, answer)
        if job.deadline_s is not None and job.late == "refuse":
            self._later(job.deadline_s, self._expire, job, answer)
        return answer

    def _replicas_changed(self) -> None:
        """Called on whatever thread the change happens."""
        self._loop.call_soon_threadsafe(self._look_at_replicas)

    def _look_at_replicas(self) -> None:
        for pool in self._model.pools:
            replicas = self._replicas_of(pool.name)
            self._scheduler.replicas_changed(pool.name, replicas, time.monotonic())
            self._apart(self._measured.meet(pool.name, replicas))
        self._send_what_can_go()

    def _send_what_can_go(self) -> None:
        while dispatch := self._scheduler.next_dispatch(time.monotonic()):
            self._running[dispatch.waiting.job.request_id] = dispatch
            logger.debug("request %s: %s", dispatch.waiting.job.request_id, dispatch.reason)
            if self._audits.on(dispatch.replica):
                self._apart(self._audits.stop())
            self._apart(self._run(dispatch))
        if not len(self._scheduler) and (audit := self._audits.next(self._scheduler.idle_replica)):
            self._apart(self._audit(audit))

    async def _audit(self, audit: Audit) -> None:
        await self._audits.run(audit)
        self._send_what_can_go()

    def _demand(self, pool: str) -> PoolDemand:
        return self._scheduler.demand(pool, time.monotonic(), time.time())

    async def _run(self, dispatch: Dispatch) -> None:
        """Sends one job and settles what becomes of it; whatever fails, its caller is told."""
        try:
            await self._settle(dispatch)
        except Exception:
            logger.exception("request %s", dispatch.waiting.job.request_id)
            failed = EngineFailed("the router failed on this request; its log says more")
            self._end(dispatch.waiting.job, failed, dispatch)
        self._send_what_can_go()

    async def _settle(self, dispatch: Dispatch) -> None:
        waiting, job = dispatch.waiting, dispatch.waiting.job
        sent_s = time.monotonic()
        match await self._ask(dispatch):
            case ReplicaDied():
                await self._after_death(dispatch)
            case NotMine() | WasStopped():
                self._put_back(dispatch, waiting)
            case Done() if job.request_id not in self._answers:
                self._end(job, None, dispatch)
            case Done() as done:
                self._learn(dispatch, done, busy_s=time.monotonic() - sent_s)
                now_s = time.monotonic()
                served = served_job(self._model, dispatch, done, sent_s=sent_s, now_s=now_s)
                self._metrics.served(served.receipt, done.result)
                self._audits.served(dispatch, done)
                self._answers[job.request_id].set_result(served)
            case DitServeError() as error:
                self._end(job, error, dispatch)

    def _learn(self, dispatch: Dispatch, done: Done, busy_s: float) -> None:
        took = measured(done.result, busy_s)
        self._costs.learn(dispatch.waiting.job, dispatch.pool, dispatch.tier, took)
        self._scheduler.loads_in(dispatch.pool, done.load_s)

    async def _ask(self, dispatch: Dispatch) -> ReplicaAnswer | ReplicaDied:
        """The replica's answer; it counts as busy until then."""
        try:
            return await self._pools.generate(dispatch)
        finally:
            del self._running[dispatch.waiting.job.request_id]
            self._scheduler.finished(dispatch, time.monotonic())

    async def _after_death(self, dispatch: Dispatch) -> None:
        job = dispatch.waiting.job
        attempts = dispatch.waiting.attempts + 1
        logger.warning(
            "request %s: replica %s died, attempt %d", job.request_id, dispatch.replica, attempts
        )
        if attempts >= self._max_attempts:
            error = EngineFailed(f"{attempts} replicas died on this request; it is not tried again")
            self._end(job, error, dispatch)
        else:
            await asyncio.sleep(RETRY_PAUSE_S * 5 ** (attempts - 1))
            self._put_back(dispatch, replace(dispatch.waiting, attempts=attempts))

    def _put_back(self, dispatch: Dispatch, waiting: Waiting) -> None:
        """Back to its place in the line, unless its caller is gone or its deadline passed."""
        if waiting.job.request_id not in self._answers:
            self._end(waiting.job, None, dispatch)
            return
        now_s = time.monotonic()
        self._scheduler.put_back(waiting, now_s)
        if waiting.promised and waiting.due_s <= now_s:
            self._expire(waiting.job)

    def _abandon(self, job: Job) -> None:
        """The caller is gone: the job leaves the line, or stops at the next step boundary."""
        if answer := self._answers.pop(job.request_id, None):
            answer.cancel()
        if self._scheduler.leave(job.request_id) is not None:
            self._end(job, None)
        elif dispatch := self._running.get(job.request_id):
            self._apart(self._stop(dispatch))

    async def _stop(self, dispatch: Dispatch) -> None:
        request_id = dispatch.waiting.job.request_id
        await self._pools.stop(
            dispatch.pool,
            dispatch.replica,
            request_id,
            lambda: self._running.get(request_id) is dispatch,
        )

    def _expire(self, job: Job) -> None:
        """The deadline has passed; a job that still waits is not begun."""
        if self._scheduler.leave(job.request_id) is not None:
            error = DeadlinePassed(
                f"deadline_ms: the deadline passed after {job.deadline_s:.3g} s "
                "in which the request waited for a replica",
                param="deadline_ms",
            )
            self._end(job, error)

    def _give_up_without_replica(self, job: Job) -> None:
        """A job waits for a replica that is busy or being started, not for one that never comes.

        Until it is answered it is looked at again after each `no_replica_s`.
        """
        waiting = self._scheduler.waiting(job.request_id)
        if waiting is not None and not any(self._replicas_of(pool) for pool in waiting.offers):
            self._scheduler.leave(job.request_id)
            error = NoReplica(
                f"{job.model}: no replica of {', '.join(waiting.offers)} runs", retry_after_s=10
            )
            self._end(job, error)
        elif answer := self._answers.get(job.request_id):
            self._later(self._model.no_replica_s, self._give_up_without_replica, job, answer)

    def _end(self, job: Job, error: DitServeError | None, dispatch: Dispatch | None = None) -> None:
        """Counts a job that has no result and tells its caller, if it has one (None: it left)."""
        where = {"pool": dispatch.pool, "tier": dispatch.tier.value} if dispatch else {}
        outcome = "cancelled" if error is None else error.code or "failed"
        broken = isinstance(error, Failure) and job.deadline_s is not None
        self._metrics.not_served(outcome, deadline_broken=broken, **where)
        answer = self._answers.get(job.request_id)
        if error is not None and answer is not None and not answer.done():
            answer.set_result(error)

    def _replicas_of(self, pool: str) -> tuple[str, ...]:
        return replica_directory.running(pool_name(self._model, self._model.pool_named(pool)))

    def _later(
        self,
        delay_s: float,
        action: Callable[[Job], None],
        job: Job,
        answer: asyncio.Future[RouterAnswer],
    ) -> None:
        """Does `action(job)` after a while, unless the job is answered before."""
        timer = self._loop.call_later(delay_s, action, job)
        answer.add_done_callback(lambda _: timer.cancel())
