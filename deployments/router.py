"""The router of one model: the only place where order, tier and pool are chosen.

The choice itself is `cluster.scheduler.Scheduler`, which the simulator runs as well; here are what
it is told (arrivals, replicas, receipts) and what becomes of its decisions.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from prometheus_client.metrics_core import Metric

from cluster.config import ModelConfig
from cluster.cost import CostModel
from cluster.errors import DitServeError, EngineFailed, Failure, LimitReached, OutputCorrupt
from cluster.given_up import deadline_passed, no_replica
from cluster.job import Job
from cluster.measured_tiers import PoolMeasurements, TiersTable
from cluster.pool_load import ModelLoad
from cluster.progress import Progress, Seen
from cluster.queue import Waiting
from cluster.routing import Dispatch
from cluster.scheduler import Scheduler
from cluster.tracing import TracingConfig
from deployments import replica_directory
from deployments.answers import Answers
from deployments.apart import Apart
from deployments.attempts import Attempts
from deployments.audits import Audit, Audits
from deployments.job_progress import Watched
from deployments.key_accounts import KeyAccounts
from deployments.measured_pools import MeasuredPools
from deployments.metrics import RouterMetrics
from deployments.options import pool_name, scaling_pools
from deployments.pool_calls import PoolCalls, ReplicaDied
from deployments.rank import WasStopped
from deployments.receipts import measured, served_job
from deployments.replica import Done, NotMine, ReplicaAnswer
from deployments.replica_lives import ReplicaLives
from deployments.router_spans import RouterSpans
from deployments.scaling import keep_telling
from deployments.served import RouterAnswer
from deployments.termination import on_sigterm

logger = logging.getLogger("ray.serve")

QUEUE_LOOK_S = 0.2
"""How often a watcher of a job in line hears that it is still there."""


class Router:
    """A Serve deployment of one replica: the central queue of a model."""

    def __init__(
        self,
        model: ModelConfig,
        max_attempts: int,
        pools: Mapping[str, Any],
        tiers: TiersTable | None,
        tracing: TracingConfig | None,
    ) -> None:
        """`pools` has the Serve handle of each pool by its name, `tiers` what was measured."""
        self._model = model
        self._pools = PoolCalls(pools)
        self._costs = CostModel(model)
        self._measured = MeasuredPools(model, tiers, self._costs, self._pools)
        self._scheduler = Scheduler(model, self._costs)
        self._answers = Answers()
        self._running: dict[str, Dispatch] = {}
        self._metrics = RouterMetrics(model)
        self._attempts = Attempts(max_attempts, self._metrics)
        self._keys = KeyAccounts(model, self._costs, self._metrics)
        self._spans = RouterSpans(tracing)
        self._audits = Audits(model, self._pools, self._metrics)
        self._loop = asyncio.get_event_loop()
        self._apart = Apart(self._loop)
        replica_directory.on_change(self._loop, self._look_at_replicas)
        self._lives = ReplicaLives(model, self._metrics, self._apart)
        for handle in pools.values():
            handle._init()
        self._apart(keep_telling(scaling_pools(model), self._scheduler.demand))
        on_sigterm(self._loop, self.__del__)

    async def generate(self, job: Job) -> RouterAnswer:
        """The result of a job, or the error why there is none.

        A call again with the same id joins the first, and alone can give the job up from then on.
        """
        if job.request_id not in self._answers:
            self._admit(job)
        return await self._answers.wait(job.request_id, lambda: self._abandon(job))

    async def reserve(self, job: Job) -> LimitReached | None:
        """Counts a video to its key until its job comes and ends; or says why it may not come."""
        return self._keys.reserve(job)

    async def release(self, job: Job) -> None:
        """The job of a reserved video will not come."""
        self._keys.ended(job)

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

    async def __del__(self) -> None:
        """Serve waits for this when it has told the router to stop; SIGTERM does at once.

        The gateways send what was here again, and the next router finds the jobs that run.
        """
        await asyncio.to_thread(self._spans.close)

    def _admit(self, job: Job) -> None:
        """Takes a job into the line, or refuses it. One that is being stopped will begin again."""
        answer = self._answers.owe(job.request_id)
        if job.request_id not in self._running and (refusal := self._line_up(job)):
            self._end(job, refusal)
            return
        self._send_what_can_go()
        self._apart.unless(answer, self._model.no_replica_s, self._give_up_without_replica, job)
        if job.deadline_s is not None and job.late == "refuse":
            self._apart.unless(answer, job.deadline_s, self._expire, job)

    def _line_up(self, job: Job) -> DitServeError | None:
        """Why a job may not come in; None if it has."""
        self._spans.waits(job)
        refusal = self._keys.refusal(job) or self._scheduler.arrive(job, time.monotonic())
        if refusal is None:
            self._keys.take(job)
        return refusal

    def _look_at_replicas(self) -> None:
        for pool in self._model.pools:
            replicas = self._replicas_of(pool.name)
            self._scheduler.replicas_changed(pool.name, replicas, time.monotonic())
            self._apart(self._measured.meet(pool.name, replicas))
        self._send_what_can_go()

    def _send_what_can_go(self) -> None:
        while dispatch := self._scheduler.next_dispatch(time.monotonic()):
            self._running[dispatch.waiting.job.request_id] = dispatch
            self._keys.began(dispatch)
            logger.debug("request %s: %s", dispatch.waiting.job.request_id, dispatch.reason)
            if self._audits.on(dispatch.replica):
                self._apart(self._audits.stop())
            self._apart(self._run(dispatch))
        if not len(self._scheduler) and (audit := self._audits.next(self._scheduler.idle_replica)):
            self._apart(self._audit(audit))

    async def _audit(self, audit: Audit) -> None:
        await self._audits.run(audit)
        self._send_what_can_go()

    async def _run(self, dispatch: Dispatch) -> None:
        """Sends one job and settles what becomes of it; whatever fails, its caller is told.

        Until then it counts as running, so that it cannot come in a second time.
        """
        job = dispatch.waiting.job
        try:
            await self._settle(dispatch)
        except Exception:
            logger.exception("request %s", job.request_id)
            failed = EngineFailed("the router failed on this request; its log says more")
            self._end(job, failed, dispatch)
        finally:
            del self._running[job.request_id]
        self._send_what_can_go()

    async def _settle(self, dispatch: Dispatch) -> None:
        waiting, job = dispatch.waiting, dispatch.waiting.job
        sent_s = time.monotonic()
        match await self._ask(dispatch):
            case ReplicaDied():
                self._put_back(dispatch, await self._attempts.after_death(dispatch))
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
                self._keys.ended(job)
                self._answers.give(job.request_id, served)
            case OutputCorrupt() as error:
                again = self._attempts.after_corrupt_output(dispatch, error)
                self._put_back(dispatch, again)
            case DitServeError() as error:
                self._end(job, error, dispatch)

    def _learn(self, dispatch: Dispatch, done: Done, busy_s: float) -> None:
        took = measured(done.result, busy_s)
        self._costs.learn(dispatch.waiting.job, dispatch.pool, dispatch.tier, took)
        self._scheduler.loads_in(dispatch.pool, done.load_s)

    async def _ask(self, dispatch: Dispatch) -> ReplicaAnswer | ReplicaDied:
        """The replica's answer; it counts as busy until then, or until it has proved itself."""
        answer: ReplicaAnswer | ReplicaDied | None = None
        try:
            with self._spans.call(dispatch) as call:
                answer = await self._pools.generate(dispatch, call.span.traceparent)
                return call.answered(answer)
        finally:
            if isinstance(answer, OutputCorrupt):
                self._apart(self._free_when_proven(dispatch))
            else:
                self._scheduler.finished(dispatch, time.monotonic())

    async def _free_when_proven(self, dispatch: Dispatch) -> None:
        await self._pools.proven(dispatch)
        self._scheduler.finished(dispatch, time.monotonic())
        self._send_what_can_go()

    def _put_back(self, dispatch: Dispatch, again: Waiting | DitServeError) -> None:
        """Back to its place in the line, unless it is given up or too late, or nobody wants it."""
        job, wanted = dispatch.waiting.job, dispatch.waiting.job.request_id in self._answers
        if isinstance(again, DitServeError) or not wanted:
            self._end(job, again if isinstance(again, DitServeError) else None, dispatch)
            return
        now_s = time.monotonic()
        self._spans.waits(job)
        self._scheduler.put_back(again, now_s)
        if again.promised and again.due_s <= now_s:
            self._expire(job)

    def _abandon(self, job: Job) -> None:
        """The caller is gone: the job leaves the line, or stops at the next step boundary."""
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
            self._end(job, deadline_passed(job))

    def _give_up_without_replica(self, job: Job) -> None:
        """A job waits for a replica that is busy or being started, not for one that never comes.

        Until it is answered it is looked at again after each `no_replica_s`.
        """
        waiting = self._scheduler.waiting(job.request_id)
        if waiting is not None and not any(self._replicas_of(pool) for pool in waiting.offers):
            self._scheduler.leave(job.request_id)
            self._end(job, no_replica(job, waiting.offers))
        elif answer := self._answers.get(job.request_id):
            self._apart.unless(answer, self._model.no_replica_s, self._give_up_without_replica, job)

    def _end(self, job: Job, error: DitServeError | None, dispatch: Dispatch | None = None) -> None:
        """Counts a job that has no result and tells its caller, if it has one (None: it left)."""
        self._spans.leaves(job, error)
        self._keys.ended(job, error)
        where = {"pool": dispatch.pool, "tier": dispatch.tier.value} if dispatch else {}
        outcome = "cancelled" if error is None else error.code or "failed"
        broken = isinstance(error, Failure) and job.deadline_s is not None
        self._metrics.not_served(outcome, deadline_broken=broken, **where)
        if error is not None:
            self._answers.give(job.request_id, error)

    def _replicas_of(self, pool: str) -> tuple[str, ...]:
        return replica_directory.running(pool_name(self._model, self._model.pool_named(pool)))
