"""A job that waits, and its place in the order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.job import Job
from cluster.tiers import Tier

PRIORITY_SHIFT = 0.05
"""How much of the time that a job has one step of `priority` moves its place: +10 halves it."""

Place = tuple[float, int]
"""When a job counts as due, and the number of its arrival to part equals."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a pool may do for a job: the tiers, best first, and seconds of the shortest work."""

    tiers: tuple[Tier, ...]
    least_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A job in the line. Times are on the router's monotonic clock, in seconds.

    `due_s` is the caller's deadline, or for a job without one a target to order by. It is a promise
    if the job was admitted because it could be kept. Nobody is refused by forecasts that were never
    `measured`. What the replicas in `avoids` made of it was corrupt.
    """

    job: Job
    arrived_s: float
    number: int
    due_s: float
    promised: bool
    measured: bool
    offers: Mapping[str, Offer]
    attempts: int = 0
    avoids: frozenset[str] = frozenset()

    @property
    def place(self) -> Place:
        """Earliest due first; `priority` moves it by a bounded part of the time that it has."""
        shift = PRIORITY_SHIFT * self.job.priority * (self.due_s - self.arrived_s)
        return self.due_s - shift, self.number

    @property
    def least_s(self) -> float:
        """Seconds of the shortest work that would do."""
        return min(self.least_by_pool_s.values())

    @property
    def least_by_pool_s(self) -> dict[str, float]:
        """The same for each pool that would do it."""
        return {name: offer.least_s for name, offer in self.offers.items()}
