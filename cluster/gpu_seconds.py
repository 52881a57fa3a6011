"""What a request is forecast to take of the GPUs, as limits of keys count it."""

from __future__ import annotations

from cluster.config import ModelConfig
from cluster.cost import Costs
from cluster.job import Job
from cluster.tiers import Tier, acceptable_tiers


def gpu_seconds(job: Job, model: ModelConfig, costs: Costs) -> float:
    """Forecast median seconds on a replica, times its ranks, on the pool where that is least.

    It is of all `n` pictures of the job, from its text to its files, in the tier that it asks for;
    where the router may choose, in the model's default tier, or the nearest to it that the request
    allows. A rank is a GPU, or a process of a pool of CPUs. It is 0 while nothing of such a pool
    was measured, as nobody is refused by a guess.
    """
    tiers = acceptable_tiers(
        job.tier_requested,
        job.min_tier,
        model.default_tier,
        model.tiers,
        in_time=job.deadline_s is not None,
    )
    tier = _usual(tiers, model.default_tier)
    forecasts = [
        (pool.num_ranks, costs.forecast(job, pool.name, tier))
        for pool in model.pools
        if tier in pool.tiers
    ]
    known = [ranks * forecast.p50_s for ranks, forecast in forecasts if forecast.measured]
    return min(known, default=0.0)


def _usual(tiers: tuple[Tier, ...], default: Tier) -> Tier:
    """The best of them that is not better than the default, or the least of all."""
    return next((tier for tier in tiers if tier.rank >= default.rank), tiers[-1])
