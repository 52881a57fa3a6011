"""Which tier and which pool a job gets. Pure: it sees the options, and says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.cost import Forecast
from cluster.queue import Waiting
from cluster.tiers import Tier

SPENDABLE = 0.9
"""Share of the slack of those behind that a better tier may use up; the rest is margin."""

SAME_FINISH = 0.05
"""Finishes that differ by less than this part count as equal; then the cheaper pool has it."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Send this job to this replica in this tier."""

    waiting: Waiting
    pool: str
    replica: str
    tier: Tier
    forecast: Forecast
    reason: str


@dataclass(frozen=True, slots=True)
class Option:
    """One tier on one pool with a free replica.

    `spare_s` is what the pool can spend with all deadlines behind kept, in replica-seconds;
    `level` is the best tier that its backlog allows.
    """

    pool: str
    ranks: int
    tier: Tier
    forecast: Forecast
    spare_s: float
    level: Tier

    def keeps_all(self, left_s: float) -> bool:
        """This deadline, `left_s` away, is kept in 95 of 100, and those behind are with margin."""
        return self.forecast.p95_s <= left_s and self.forecast.p50_s <= SPENDABLE * self.spare_s


def choose(options: Sequence[Option], left_s: float) -> tuple[Option, str]:
    """The best tier that keeps every deadline, on the pool that finishes it first.

    `options` are not empty. No tier better than the level is taken where another will do. Where no
    tier keeps all deadlines it is the shortest work.
    """
    if len(options) == 1:
        return options[0], f"{options[0].tier} is the only choice"
    tiers = sorted({option.tier for option in options}, key=lambda tier: tier.rank)
    for tier in tiers:
        kept = [
            option
            for option in options
            if option.tier is tier
            and (tier.rank >= option.level.rank or tier is tiers[-1])
            and option.keeps_all(left_s)
        ]
        if kept:
            return _earliest(kept), f"{tier} keeps all deadlines"
    return _earliest(options), "no tier keeps all deadlines; the shortest work"


def _earliest(options: Sequence[Option]) -> Option:
    """The earliest finish; among equal ones the fewest rank-seconds."""
    least_s = min(option.forecast.p50_s for option in options)
    return min(
        (option for option in options if option.forecast.p50_s <= least_s * (1 + SAME_FINISH)),
        key=lambda option: (option.ranks * option.forecast.p50_s, option.tier.rank, option.pool),
    )
