"""Stand-ins for replicas: they sleep for the seconds that a job truly takes, and draw nothing.

So one machine without a GPU carries eight replicas, and what is measured is the routing alone.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import ray
from ray import serve

from cluster.job import Job
from cluster.pool import PoolConfig
from cluster.simulator.table_costs import TableCosts
from cluster.simulator.tier_rules import RULES, Choice, Outlook
from cluster.step_masks import expected_steps
from cluster.tiers import Tier, acceptable_tiers
from deployments.engine import EngineResult
from deployments.jobs_here import Epoch
from deployments.replica import Done, NotMine, ReplicaAnswer

ENCODE_SHARE = 0.03
DECODE_SHARE = 0.05
"""Parts of a job's seconds at `none` that no cache saves; denoising has the rest."""


class TimedReplica:
    """Stands where `deployments.replica.DiTReplica` does, and gives the same answers.

    It has the calls of a router that audits nothing and was given no measured tiers.
    """

    def __init__(self, truth: TableCosts, pool: PoolConfig) -> None:
        """`truth` has the seconds of every kind of job in every tier."""
        self._truth = truth
        self._pool = pool
        self._id = serve.get_replica_context().replica_id.unique_id

    async def generate(self, job: Job, tier: Tier, *, replica: str, epoch: Epoch) -> ReplicaAnswer:
        """Sleeps through a job, and answers with its stages and steps."""
        if replica != self._id:
            return NotMine()
        result = stand_in_result(job, tier, self._truth, self._pool)
        await asyncio.sleep(result.engine_s)
        return Done("stand-in", result, ray.put((b"",)), load_s=0.0)

    async def stop(self, request_id: str, *, replica: str) -> bool:
        """Does nothing: the callers of the benchmarks stay to the end."""
        return False


def stand_in_result(job: Job, tier: Tier, truth: TableCosts, pool: PoolConfig) -> EngineResult:
    """Stages that take the job's true seconds together, and the steps that its tier computes."""
    none_s = truth.forecast(job, pool.name, Tier.NONE).p50_s
    whole_s = truth.forecast(job, pool.name, tier).p50_s
    encode_s, decode_s = ENCODE_SHARE * none_s, DECODE_SHARE * none_s
    steps = job.num_inference_steps
    computed = expected_steps(pool.cache_for(tier), tier, steps).least
    return EngineResult(
        images=(),
        steps_computed=computed,
        steps_cached=steps - computed,
        residual_diffs=(),
        encode_s=encode_s,
        denoise_s=whole_s - encode_s - decode_s,
        decode_s=decode_s,
    )


@dataclass(frozen=True)
class Slept:
    """What a `PlainReplica` did: its tier, and the seconds that the job kept it busy."""

    tier: Tier
    busy_s: float


class PlainReplica:
    """A replica as one would write it for Ray Serve alone: it does what comes, one at a time.

    The caller names the rule that chooses the tier when the job comes in, one of those that the
    simulator's baselines have. The replica's own line is as long as Serve lets it be.
    """

    def __init__(self, truth: TableCosts, pool: str) -> None:
        self._truth = truth
        self._pool = pool
        self._waiting = 0
        self._free_s = 0.0

    async def generate(self, job: Job, rule: str, due_s: float) -> Slept:
        """Sleeps through the jobs before this one, and through it.

        `due_s` is its deadline on this machine's monotonic clock.
        """
        begins_s = max(time.monotonic(), self._free_s)
        outlook = Outlook(due_s - begins_s, self._waiting)
        tier, forecast = RULES[rule](self._choices(job), outlook)
        self._free_s = ends_s = begins_s + forecast.p50_s
        self._waiting += 1
        await _sleep_until(begins_s)
        self._waiting -= 1
        await _sleep_until(ends_s)
        return Slept(tier, forecast.p50_s)

    def _choices(self, job: Job) -> list[Choice]:
        offered = list(Tier)
        tiers = acceptable_tiers(
            job.tier_requested, job.min_tier, Tier.MEDIUM, offered, in_time=True
        )
        return [Choice(tier, self._truth.forecast(job, self._pool, tier)) for tier in tiers]


async def _sleep_until(then_s: float) -> None:
    await asyncio.sleep(max(0.0, then_s - time.monotonic()))
