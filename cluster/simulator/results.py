"""What a run of the simulator shows, in numbers."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.job import Job
from cluster.simulator.events import Outcome
from cluster.simulator.mixes import TIER_QUALITY
from cluster.tiers import AUTO, Tier


@dataclass(frozen=True)
class RunResult:
    """One policy on one trace.

    `attainment` is the share of all requests that were done within their deadline; one that was
    refused, or that nothing served, counts as missed. `quality_goodput` is the quality index of the
    tiers served in time, summed, over all requests; `mean_quality` that of all served. Latencies
    are from arrival to end, of those served; None where nobody was. `utilisation` is busy seconds
    over the seconds that replicas were there. `forecast_error` is the mean of |real - forecast| /
    real. `floor_breaches` counts those served in a worse tier than they accept.
    """

    trace: str
    policy: str
    seed: int
    requests: int
    in_time: int
    refused: int
    unserved: int
    floor_breaches: int
    quality_goodput: float
    mean_quality: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    latency_p99_s: float | None
    utilisation: float
    forecast_error: float | None
    tiers: dict[str, int]
    caller_attainment: dict[str, float]

    @property
    def misses(self) -> int:
        return self.requests - self.in_time

    @property
    def attainment(self) -> float:
        return self.in_time / self.requests


class Tally:
    """Adds up outcomes as they come, and keeps no request."""

    def __init__(self) -> None:
        self._latencies_s = array("d")
        self._tiers: Counter[Tier] = Counter()
        self._tiers_in_time: Counter[Tier] = Counter()
        self._callers: Counter[str] = Counter()
        self._callers_in_time: Counter[str] = Counter()
        self._refused = 0
        self._unserved = 0
        self._floor_breaches = 0
        self._busy_s = 0.0
        self._error = 0.0

    def add(self, outcome: Outcome) -> None:
        """Counts the end of a request."""
        arrival, dispatch = outcome.arrival, outcome.dispatch
        self._callers[arrival.job.caller] += 1
        if dispatch is None:
            self._refused += outcome.refusal is not None
            self._unserved += outcome.refusal is None
            return
        tier, seconds = dispatch.tier, outcome.finished_s - outcome.started_s
        self._tiers[tier] += 1
        self._latencies_s.append(outcome.finished_s - arrival.at_s)
        self._busy_s += seconds
        self._error += abs(seconds - dispatch.forecast.p50_s) / seconds
        self._floor_breaches += breaks_floor(arrival.job, tier)
        if outcome.in_time:
            self._tiers_in_time[tier] += 1
            self._callers_in_time[arrival.job.caller] += 1

    def result(self, trace: str, policy: str, seed: int, replica_s: float) -> RunResult:
        """The numbers of the whole; `replica_s` are the seconds that replicas were there.

        Raises:
            ValueError: there was no request.
        """
        requests, served = self._callers.total(), self._tiers.total()
        if not requests:
            raise ValueError(f"trace {trace}: no requests")
        latencies_s = sorted(self._latencies_s)
        return RunResult(
            trace=trace,
            policy=policy,
            seed=seed,
            requests=requests,
            in_time=self._tiers_in_time.total(),
            refused=self._refused,
            unserved=self._unserved,
            floor_breaches=self._floor_breaches,
            quality_goodput=_quality(self._tiers_in_time) / requests,
            mean_quality=_quality(self._tiers) / served if served else None,
            latency_p50_s=percentile(latencies_s, 0.50),
            latency_p95_s=percentile(latencies_s, 0.95),
            latency_p99_s=percentile(latencies_s, 0.99),
            utilisation=self._busy_s / replica_s if replica_s else 0.0,
            forecast_error=self._error / served if served else None,
            tiers={str(tier): self._tiers[tier] for tier in Tier},
            caller_attainment={
                caller: self._callers_in_time[caller] / count
                for caller, count in sorted(self._callers.items())
            },
        )


def breaks_floor(job: Job, served: Tier) -> bool:
    """Is this tier worse than the job's `min_tier`, or than the tier that it names without one?"""
    if job.min_tier is not None:
        return served.rank > job.min_tier.rank
    return job.tier_requested != AUTO and served.rank > Tier(job.tier_requested).rank


def percentile(rising: Sequence[float], share: float) -> float | None:
    """The least value that is not below so much of the values (nearest rank); None of none."""
    return rising[max(0, math.ceil(share * len(rising)) - 1)] if rising else None


def _quality(tiers: Counter[Tier]) -> float:
    return sum(TIER_QUALITY[tier] * count for tier, count in tiers.items())
