"""The router of one model: the only place where order, tier and pool are chosen.

The choice itself is `cluster.routing.next_dispatch`; here are its inputs (who waits, who is free)
and its effects.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray
from prometheus_client.metrics_core import Metric
from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import RayServeException

from cluster.config import ModelConfig
from cluster.cost import CostModel, cost_key
from cluster.errors import DeadlinePassed, DitServeError, EngineFailed, NoReplica, QueueFull
from cluster.queue import Waiting, WaitingLine
from cluster.receipt import Receipt
from cluster.request import Job
from cluster.routing import Dispatch, PoolState, next_dispatch, tier_to_serve
from deployments import replica_directory
from deployments.metrics import RouterMetrics
from deployments.options import pool_name
from deployments.rank import WasStopped
from deployments.receipts import completed_receipt
from deployments.replica import Done, NotMine, ReplicaAnswer

logger = logging.getLogger("ray.serve")

RETRY_PAUSE_S = 0.2
"""After a replica died: time for Serve to tell that it is gone; five times longer each time."""


@dataclass(frozen=True)
class Served:
    """A finished request; the pictures stay where they were made until the gateway fetches them."""

    receipt: Receipt
    images: ray.ObjectRef[tuple[bytes, ...]]


@dataclass(frozen=True)
class ReplicaDied:
    """The replica's process ended before it answered."""


RouterAnswer = Served | DitServeError


class Router:
    """A Serve deployment of one replica: the central queue of a model."""

    def __init__(self, model: ModelConfig, max_attempts: int, pools: Mapping[str, Any]) -> None:
        """`pools` has the Serve handle of each pool by the pool's name."""
        self._model = model
        self._max_attempts = max_attempts
        self._handles = pools
        self._epoch = time.time_ns()
        self._line = WaitingLine()
        self._answers: dict[str, asyncio.Future[RouterAnswer]] = {}
        self._running: dict[str, Dispatch] = {}
        self._costs = CostModel()
        self._metrics = RouterMetrics(model.name)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_event_loop()
        replica_directory.on_change(self._replicas_changed)
        for handle in pools.values():
            handle._init()

    async def generate(self, job: Job) -> RouterAnswer:
        """The result of a job, or the error why there is none.

        A call again with the same id joins the first.
        """
        answer = self._answers.get(job.request_id) or self._admit(job)
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            self._abandon(job)
            raise

    async def metrics(self) -> list[Metric]:
        """What this router counted."""
        states = [
            (pool.name, len(pool.free_replicas), self._busy(pool.name)) for pool in self._states()
        ]
        return self._metrics.now(len(self._line), states)

    async def replicas(self) -> dict[str, int]:
        """Running replicas by pool."""
        return {pool.name: len(self._replicas_of(pool.name)) for pool in self._model.pools}

    def _admit(self, job: Job) -> asyncio.Future[RouterAnswer]:
        """Takes a job into the line, or refuses it when it would have to wait in a full one."""
        answer = self._answers[job.request_id] = self._loop.create_future()
        answer.add_done_callback(lambda _: self._answers.pop(job.request_id, None))
        waiting = self._line.arrive(job, time.monotonic())
        self._send_what_can_go()
        if len(self._line) > self._model.max_queued and self._line.take(job.request_id):
            self._end(
                job,
                QueueFull(
                    f"{self._model.name} has {self._model.max_queued} requests waiting, "
                    "which is its limit; try again later",
                    retry_after_s=1,
                ),
            )
            return answer
        self._later(self._model.no_replica_s, self._give_up_without_replica, waiting, answer)
        if job.deadline_s is not None:
            self._later(job.deadline_s, self._expire, waiting, answer)
        return answer

    def _replicas_changed(self) -> None:
        """Called on whatever thread the change happens."""
        self._loop.call_soon_threadsafe(self._send_what_can_go)

    def _send_what_can_go(self) -> None:
        while dispatch := next_dispatch(self._line, self._states(), self._model):
            self._line.take(dispatch.waiting.job.request_id)
            self._running[dispatch.waiting.job.request_id] = dispatch
            logger.debug("request %s: %s", dispatch.waiting.job.request_id, dispatch.reason)
            self._apart(self._run(dispatch))

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
        key = cost_key(job, dispatch.pool, dispatch.tier)
        forecast_s = self._costs.forecast_s(key)
        sent_s = time.monotonic()
        match await self._ask(dispatch):
            case ReplicaDied():
                await self._after_death(dispatch)
            case NotMine() | WasStopped():
                self._put_back(dispatch, waiting)
            case Done() if job.request_id not in self._answers:
                self._end(job, None, dispatch)
            case Done() as done:
                self._costs.learn(key, done.result.engine_s)
                receipt = completed_receipt(
                    self._model,
                    dispatch,
                    done.result,
                    forecast_s=forecast_s,
                    sent_s=sent_s,
                    now_s=time.monotonic(),
                    config_hash=done.config_hash,
                )
                self._metrics.served(receipt, done.result)
                self._answers[job.request_id].set_result(Served(receipt, done.images))
            case DitServeError() as error:
                self._end(job, error, dispatch)

    async def _ask(self, dispatch: Dispatch) -> ReplicaAnswer | ReplicaDied:
        """The replica's answer; it counts as busy until then."""
        job = dispatch.waiting.job
        try:
            answer: ReplicaAnswer = await self._handles[dispatch.pool].generate.remote(
                job, dispatch.tier, replica=dispatch.replica, epoch=self._epoch
            )
        except RayActorError:
            return ReplicaDied()
        except replica_directory.ReplicaGone:
            return NotMine()
        except (RayError, RayServeException) as error:
            logger.exception("request %s failed in pool %s", job.request_id, dispatch.pool)
            cause = getattr(error, "cause", error)
            return EngineFailed(f"the replica failed on this request: {type(cause).__name__}")
        finally:
            del self._running[job.request_id]
        return answer

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
        self._line.put_back(waiting)
        if waiting.due_s is not None and waiting.due_s <= time.monotonic():
            self._expire(waiting)

    def _abandon(self, job: Job) -> None:
        """The caller is gone: the job leaves the line, or stops at the next step boundary."""
        if answer := self._answers.pop(job.request_id, None):
            answer.cancel()
        if self._line.take(job.request_id) is not None:
            self._end(job, None)
        elif dispatch := self._running.get(job.request_id):
            self._apart(self._stop(dispatch))

    async def _stop(self, dispatch: Dispatch) -> None:
        """Tells the replica until it knows the job: the word may overtake the job itself."""
        job = dispatch.waiting.job
        try:
            while self._running.get(job.request_id) is dispatch:
                known = await self._handles[dispatch.pool].stop.remote(
                    job.request_id, replica=dispatch.replica
                )
                if known:
                    return
                await asyncio.sleep(RETRY_PAUSE_S)
        except (RayError, RayServeException) as error:
            logger.info("replica %s was not told to stop: %s", dispatch.replica, error)

    def _expire(self, waiting: Waiting) -> None:
        """The deadline has passed; a job that still waits is not begun."""
        job = waiting.job
        if self._line.take(job.request_id) is not None:
            error = DeadlinePassed(
                f"deadline_ms: the deadline passed after {job.deadline_s:.3g} s "
                "in which the request waited for a replica",
                param="deadline_ms",
            )
            self._end(job, error)

    def _give_up_without_replica(self, waiting: Waiting) -> None:
        """A job waits for a replica that is busy or being replaced, not for one that never comes.

        Until it is answered it is looked at again after each `no_replica_s`.
        """
        job = waiting.job
        tier = tier_to_serve(job, self._model)
        pools = [pool.name for pool in self._model.pools if tier in pool.tiers]
        gone = not any(self._replicas_of(pool) for pool in pools)
        if gone and self._line.take(job.request_id) is not None:
            error = NoReplica(
                f"{job.model}: no replica of {', '.join(pools)} runs", retry_after_s=10
            )
            self._end(job, error)
        elif answer := self._answers.get(job.request_id):
            self._later(self._model.no_replica_s, self._give_up_without_replica, waiting, answer)

    def _end(self, job: Job, error: DitServeError | None, dispatch: Dispatch | None = None) -> None:
        """Counts a job that has no result and tells its caller, if it has one (None: it left)."""
        where = {"pool": dispatch.pool, "tier": dispatch.tier.value} if dispatch else {}
        outcome = "cancelled" if error is None else error.code or "failed"
        self._metrics.not_served(outcome, had_deadline=job.deadline_s is not None, **where)
        answer = self._answers.get(job.request_id)
        if error is not None and answer is not None and not answer.done():
            answer.set_result(error)

    def _states(self) -> list[PoolState]:
        """The pools, each with its replicas that have nothing to do."""
        busy = {dispatch.replica for dispatch in self._running.values()}
        return [
            PoolState(
                pool.name,
                tuple(pool.tiers),
                tuple(each for each in self._replicas_of(pool.name) if each not in busy),
            )
            for pool in self._model.pools
        ]

    def _replicas_of(self, pool: str) -> tuple[str, ...]:
        return replica_directory.running(pool_name(self._model, self._model.pool_named(pool)))

    def _busy(self, pool: str) -> int:
        return sum(dispatch.pool == pool for dispatch in self._running.values())

    def _later(
        self, delay_s: float, action: Any, waiting: Waiting, answer: asyncio.Future[RouterAnswer]
    ) -> None:
        """Does `action(waiting)` after a while, unless the job is answered before."""
        timer = self._loop.call_later(delay_s, action, waiting)
        answer.add_done_callback(lambda _: timer.cancel())

    def _apart(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs in a context of its own: a request's context must not reach a replica."""
        task = self._loop.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
