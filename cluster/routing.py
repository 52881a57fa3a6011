"""Which job goes where, and in which tier.

One place; pure: it sees the line and the pools, and returns a decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.config import ModelConfig
from cluster.queue import Waiting
from cluster.request import Job
from cluster.tiers import Tier, served_tier


@dataclass(frozen=True)
class PoolState:
    """A pool as the router sees it now: the ids of its replicas that have nothing to do."""

    name: str
    tiers: tuple[Tier, ...]
    free_replicas: tuple[str, ...]


@dataclass(frozen=True)
class Dispatch:
    """Send this job to this replica in this tier."""

    waiting: Waiting
    pool: str
    replica: str
    tier: Tier
    reason: str


def next_dispatch(
    line: Iterable[Waiting], pools: Sequence[PoolState], model: ModelConfig
) -> Dispatch | None:
    """The first job in the line that a free replica can serve; None when all must wait.

    A job whose tier no free pool serves does not hold up those behind it.
    """
    if not any(pool.free_replicas for pool in pools):
        return None
    for waiting in line:
        job = waiting.job
        tier = tier_to_serve(job, model)
        if tier is None:
            continue
        for pool in pools:
            if tier in pool.tiers and pool.free_replicas:
                reason = (
                    f"{tier} as asked"
                    if tier == job.tier_requested
                    else f"{tier} is the default within the floor"
                )
                return Dispatch(waiting, pool.name, pool.free_replicas[0], tier, reason)
    return None


def tier_to_serve(job: Job, model: ModelConfig) -> Tier | None:
    """The tier of a job; None when the model has none that it would take."""
    return served_tier(job.tier_requested, job.min_tier, model.default_tier, model.tiers)
