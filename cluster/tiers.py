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
        return list(Tier).index(self)


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


def served_tier(
    requested: str, floor: Tier | None, default: Tier, offered: Collection[Tier]
) -> Tier | None:
    """The tier to serve: the requested one, or for `auto` the default.

    The default is raised to the floor where that is better.
    None when no pool offers a tier that the caller would take. A named tier is never changed.
    """
    if requested != AUTO:
        tier = Tier(requested)
        return tier if tier in offered else None
    ceiling = min(default.rank, floor.rank) if floor else default.rank
    good_enough = [
        tier for tier in Tier if tier in offered and (floor is None or tier.rank <= floor.rank)
    ]
    return min(good_enough, key=lambda tier: (abs(tier.rank - ceiling), tier.rank), default=None)
