"""Forecast of a job's seconds from the receipts of jobs like it."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.request import Job
from cluster.tiers import Tier

MEMORY = 0.2
"""Weight of the newest measurement in the running mean."""


@dataclass(frozen=True)
class CostKey:
    """What makes two jobs cost the same."""

    pool: str
    tier: Tier
    width: int
    height: int
    num_inference_steps: int
    n: int


def cost_key(job: Job, pool: str, tier: Tier) -> CostKey:
    return CostKey(pool, tier, job.width, job.height, job.num_inference_steps, job.n)


class CostModel:
    """Running means of measured engine seconds.

    It says nothing of jobs unlike any that it has seen.
    """

    def __init__(self) -> None:
        self._mean_s: dict[CostKey, float] = {}

    def forecast_s(self, key: CostKey) -> float | None:
        return self._mean_s.get(key)

    def learn(self, key: CostKey, seconds: float) -> None:
        known = self._mean_s.get(key)
        self._mean_s[key] = seconds if known is None else known + MEMORY * (seconds - known)
