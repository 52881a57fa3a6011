"""The quality tiers, their order, and the words by which callers name them."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

AUTO = "auto"


class Tier(StrEnum):
    """An SCM preset of cache-dit, in falling quality; `none` computes every step."""

    NONE = "none"
    SLOW = "slow"
    MEDIUM = "medium"
    FAST = "fast"
    ULTRA = "ultra"

    @property
    def rank(self) -> int:
        """0 for the best quality, 4 for the least."""
        return _RANKS[self]


_RANKS = {tier: rank for rank, tier in enumerate(Tier)}
"""Asked for many times in each of the router's decisions."""

MASKED_STEPS_MIN = 8
"""For fewer steps than this no preset makes a step mask; one given as numbers may.

Cache-dit's presets begin at 8 (they know 4 and 6 as special cases).
"""

QUALITY_WORDS = {
    "auto": AUTO,
    "high": Tier.NONE,
    "hd": Tier.NONE,
    "medium": Tier.MEDIUM,
    "standard": Tier.MEDIUM,
    "low": Tier.ULTRA,
}
"""OpenAI's words for `quality`, in ours."""


def acceptable_tiers(
    requested: str,
    floor: Tier | None,
    default: Tier,
    offered: Collection[Tier],
    *,
    in_time: bool,
) -> tuple[Tier, ...]:
    """The tiers among which the router may choose, best first; empty where none is offered.

    A named tier stands, unless a floor opens the range from it down to the floor. `auto` is any
    tier down to the floor; without a floor it is never worse than the model's default, except that
    a caller who gave a deadline (`in_time`) puts time first and takes any.
    """
    best = Tier.NONE if requested == AUTO else Tier(requested)
    least = Tier.ULTRA if in_time else default
    if requested != AUTO:
        least = best
    if floor is not None:
        least = floor
    return tuple(tier for tier in Tier if tier in offered and best.rank <= tier.rank <= least.rank)
