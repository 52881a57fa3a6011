"""Audits: served requests made again at `none` on idle replicas, to see what their tier cost.

One audit at a time, only while nobody waits. A caller who comes to its replica stops it at the next
step boundary.
"""

from __future__ import annotations

import logging
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import ray

from cluster.config import ModelConfig
from cluster.job import Job
from cluster.routing import Dispatch
from cluster.tiers import Tier
from deployments.metrics import RouterMetrics
from deployments.pool_calls import PoolCalls
from deployments.replica import Audited, Done

logger = logging.getLogger("ray.serve")

SAMPLES_KEPT = 4
"""Requests that may wait to be audited; their pictures stay in the object store until then."""


@dataclass(frozen=True)
class Sample:
    """A served request, what its engine took, and its pictures."""

    job: Job
    pool: str
    tier: Tier
    engine_s: float
    images: ray.ObjectRef[tuple[bytes, ...]]


@dataclass(frozen=True)
class Audit:
    """A sample on the replica that makes it again."""

    sample: Sample
    replica: str


class Audits:
    """The samples of one model, and the audit that runs."""

    def __init__(self, model: ModelConfig, pools: PoolCalls, metrics: RouterMetrics) -> None:
        self._fractions = {pool.name: pool.audit_fraction for pool in model.pools}
        self._pools = pools
        self._metrics = metrics
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self._running: Audit | None = None

    def served(self, dispatch: Dispatch, done: Done) -> None:
        """Takes the pool's share of its served requests, chosen by their ids."""
        job = dispatch.waiting.job
        chosen = zlib.crc32(job.request_id.encode()) < self._fractions[dispatch.pool] * 2**32
        if chosen and dispatch.tier is not Tier.NONE:
            again = replace(job, request_id=f"audit-{job.request_id}")
            self._samples.append(
                Sample(again, dispatch.pool, dispatch.tier, done.result.engine_s, done.images)
            )

    def next(self, idle_replica: Callable[[str], str | None]) -> Audit | None:
        """The oldest sample whose pool has an idle replica; it counts as running from now on."""
        if self._running is not None:
            return None
        for sample in self._samples:
            if replica := idle_replica(sample.pool):
                self._samples.remove(sample)
                self._running = Audit(sample, replica)
                return self._running
        return None

    def on(self, replica: str) -> bool:
        """Whether an audit runs on that replica."""
        return self._running is not None and self._running.replica == replica

    async def stop(self) -> None:
        """Stops the audit that runs at its next step boundary."""
        if audit := self._running:
            await self._pools.stop(
                audit.sample.pool,
                audit.replica,
                audit.sample.job.request_id,
                lambda: self._running is audit,
            )

    async def run(self, audit: Audit) -> None:
        """Makes the sample again and counts how far its tier was from `none`."""
        sample = audit.sample
        try:
            found = await self._pools.audit(sample.pool, audit.replica, sample.job, sample.images)
        finally:
            self._running = None
        if isinstance(found, Audited):
            speedup = found.engine_s / sample.engine_s
            self._metrics.audited(sample.pool, sample.tier, found.psnr_db, speedup)
        else:
            logger.debug("the audit of %s has no result: %r", sample.job.request_id, found)
