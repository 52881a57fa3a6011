"""Counts the replicas that begin to take requests, and those that die.

Serve only tells which replicas run. Why one runs no more is asked of Ray's GCS, which keeps the
cause of an actor's death: Serve ends what it stops with `ray.kill`, everything else is a death.
"""

from __future__ import annotations

import asyncio
import logging

from ray.exceptions import RpcError

from cluster.config import ModelConfig
from deployments import replica_directory
from deployments.actor_info import actor_info
from deployments.apart import Apart
from deployments.metrics import RouterMetrics
from deployments.options import pool_name

logger = logging.getLogger("ray.serve")


class ReplicaLives:
    """The replicas of one model's pools, from the first word of Serve to the last."""

    def __init__(self, model: ModelConfig, metrics: RouterMetrics, apart: Apart) -> None:
        """To be made on the event loop on which it is to work."""
        self._deployments = {pool.name: pool_name(model, pool) for pool in model.pools}
        self._metrics = metrics
        self._apart = apart
        self._running: dict[str, dict[str, str]] = {pool: {} for pool in self._deployments}
        self._seen: set[str] = set()
        self._dead: set[str] = set()
        replica_directory.on_change(asyncio.get_event_loop(), self._look)

    def _look(self) -> None:
        """A replica may leave and come back: Serve drops one that did not answer a call."""
        for pool, deployment in self._deployments.items():
            before, now = self._running[pool], replica_directory.actors(deployment)
            self._running[pool] = now
            for actor in set(now.values()) - self._seen:
                self._seen.add(actor)
                self._metrics.replica_started(pool)
            for replica in before.keys() - now.keys():
                self._apart(self._ask(pool, replica, before[replica]))

    async def _ask(self, pool: str, replica: str, actor: str) -> None:
        """Counts a replica that runs no more if it has died, once."""
        try:
            died = await _died(actor)
        except RpcError as error:
            logger.warning("nobody says why %s/%s runs no more: %s", pool, replica, error)
            return
        if died and actor not in self._dead:
            self._dead.add(actor)
            self._metrics.replica_died(pool)


async def _died(actor: str) -> bool:
    """Whether an actor has ended otherwise than by `ray.kill`.

    False while it lives, as one does that Serve has told to stop: that takes half a second or more,
    and ends with `ray.kill`.
    """
    told = await actor_info(actor)
    if told.state != told.DEAD:
        return False
    cause = told.death_cause.actor_died_error_context
    return bool(cause.reason != cause.RAY_KILL)
