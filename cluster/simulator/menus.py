"""What the pools of a model may do for a job, for the policies that are compared with ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import count

from cluster.config import ModelConfig
from cluster.cost import Costs
from cluster.job import Job
from cluster.queue import Offer, Waiting
from cluster.simulator.tier_rules import Choice
from cluster.tiers import Tier, acceptable_tiers


class Menus:
    """Numbers jobs as they come, and knows their acceptable tiers and forecasts by pool."""

    def __init__(self, model: ModelConfig, costs: Costs) -> None:
        self._model = model
        self._costs = costs
        self._numbers = count()
        self._tiers: dict[tuple[str, Tier | None, bool], Mapping[str, tuple[Tier, ...]]] = {}

    def waiting(self, job: Job, now_s: float) -> Waiting:
        """The job in line, with what each pool that it accepts would do."""
        return Waiting(
            job=job,
            arrived_s=now_s,
            number=next(self._numbers),
            due_s=math.inf if job.deadline_s is None else now_s + job.deadline_s,
            promised=False,
            measured=True,
            offers={
                pool: Offer(
                    tiers, min(self._costs.forecast(job, pool, tier).p50_s for tier in tiers)
                )
                for pool, tiers in self._acceptable(job).items()
            },
        )

    def choices(self, waiting: Waiting, pool: str) -> Sequence[Choice]:
        """The tiers that it accepts of a pool, best first, with their forecasts."""
        return [
            Choice(tier, self._costs.forecast(waiting.job, pool, tier))
            for tier in waiting.offers[pool].tiers
        ]

    def _acceptable(self, job: Job) -> Mapping[str, tuple[Tier, ...]]:
        wish = requested, floor, in_time = (
            job.tier_requested,
            job.min_tier,
            job.deadline_s is not None,
        )
        if wish not in self._tiers:
            default, offered = self._model.default_tier, self._model.tiers
            tiers = acceptable_tiers(requested, floor, default, offered, in_time=in_time)
            self._tiers[wish] = {
                pool.name: here
                for pool in self._model.pools
                if (here := tuple(tier for tier in tiers if tier in pool.tiers))
            }
        return self._tiers[wish]
