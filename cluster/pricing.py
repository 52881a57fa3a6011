"""What a job costs on each pool that would take it, when it is due, and how pools share it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from operator import attrgetter

from cluster.config import ModelConfig
from cluster.cost import Costs
from cluster.job import Job
from cluster.pool_line import PoolLine
from cluster.queue import Offer, Waiting
from cluster.tiers import Tier, acceptable_tiers


class Pricing:
    """Forecasts of one model's jobs, put in the terms of its pools."""

    def __init__(self, model: ModelConfig, costs: Costs, lines: Mapping[str, PoolLine]) -> None:
        self._model = model
        self._costs = costs
        self._lines = lines

    def priced(self, job: Job, now_s: float, number: int) -> Waiting:
        """The job with what each pool may do for it, and when it is due.

        Without a deadline it has `default_slo_factor` times its forecast, at the default tier where
        the router may choose, and the time to load a replica where none runs.
        """
        tiers = acceptable_tiers(
            job.tier_requested,
            job.min_tier,
            self._model.default_tier,
            self._model.tiers,
            in_time=job.deadline_s is not None,
        )
        offers, known = {}, True
        for line in self._lines.values():
            if here := tuple(tier for tier in tiers if tier in line.tiers):
                forecasts = [self._costs.forecast(job, line.name, tier) for tier in here]
                offers[line.name] = Offer(here, min(each.p50_s for each in forecasts))
                known = known and all(each.measured for each in forecasts)
        patience_s = job.deadline_s
        if patience_s is None:
            usual = self.at_level(job, offers, self._model.default_tier)
            patience_s = self._model.default_slo_factor * min(usual.values())
            patience_s += min(self._lines[name].replicas.could_begin_s(now_s) for name in offers)
            patience_s -= now_s
        promised = job.deadline_s is not None and job.late == "refuse"
        return Waiting(job, now_s, number, now_s + patience_s, promised, known, offers)

    def sure_share(self, waiting: Waiting, now_s: float) -> float:
        """How much of its time until a job is due a pool may promise, where it is least sure.

        Were it promised to the last second, a line that takes a little longer than its medians
        would break every second promise. So many jobs like this one as fit, each beyond its median
        by chance, exceed their sum by the spread of one over the root of their number: that much of
        what 95 of 100 stay under is left free. Work that always takes the same leaves nothing.
        """
        shares = []
        for name, offer in waiting.offers.items():
            least = self._costs.forecast(waiting.job, name, offer.tiers[-1])
            time_s = self._lines[name].replicas.supply_s(waiting.due_s, now_s)
            jobs = max(1.0, time_s / least.p50_s)
            beyond = least.p95_s / least.p50_s - 1.0
            shares.append(1.0 / (1.0 + beyond / math.sqrt(jobs)))
        return min(shares)

    def at_level(self, job: Job, offers: Mapping[str, Offer], level: Tier) -> dict[str, float]:
        """Seconds of the job by pool, in the best acceptable tier that is not better than a level.

        Pools that do not serve that tier are left out.
        """
        tiers = sorted(
            {t for offer in offers.values() for t in offer.tiers}, key=attrgetter("rank")
        )
        tier = next((tier for tier in tiers if tier.rank >= level.rank), tiers[-1])
        return {
            name: self._costs.forecast(job, name, tier).p50_s
            for name, offer in offers.items()
            if tier in offer.tiers
        }

    def parts_s(self, seconds: Mapping[str, float]) -> dict[str, float]:
        """Replica-seconds that fall to each pool, if all of them are to be done at the same time.

        `seconds` is what the job takes on each pool. A pool of R replicas on which it takes c does
        R / c such jobs a second; the job is divided in proportion, among the pools that count.
        """
        counts = self.counted(seconds)
        whole_s = 1.0 / sum(count / seconds[name] for name, count in counts.items())
        return {name: count * whole_s for name, count in counts.items()}

    def counted(self, pools: Iterable[str]) -> dict[str, int]:
        """The replicas of the pools that run; where none does, the one of each that would start."""
        counts = {name: len(self._lines[name].replicas.running) for name in pools}
        return {name: count for name, count in counts.items() if count} or dict.fromkeys(counts, 1)
