"""How a policy without foresight chooses a tier, when it binds a job to a replica.

A rule sees what the caller accepts there, so none can break a floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from cluster.cost import Forecast
from cluster.tiers import Tier


class Choice(NamedTuple):
    """A tier that the caller accepts, and what it would take on that replica."""

    tier: Tier
    forecast: Forecast


class Outlook(NamedTuple):
    """`left_s`: from when the job would begin to its deadline; `queued`: jobs per replica."""

    left_s: float
    queued: float


TierRule = Callable[[Sequence[Choice], Outlook], Choice]
"""One of the choices, which are best first and never empty."""

DROPS = {Tier.SLOW: 0.5, Tier.MEDIUM: 1.0, Tier.FAST: 2.0, Tier.ULTRA: 4.0}
"""From so many waiting jobs per replica on, `threshold` serves this tier."""


def as_asked(choices: Sequence[Choice], outlook: Outlook) -> Choice:
    """The best."""
    return choices[0]


def fixed(tier: Tier) -> TierRule:
    """That tier, raised to the caller's floor."""

    def rule(choices: Sequence[Choice], outlook: Outlook) -> Choice:
        return _at_or_below(tier, choices)

    return rule


def threshold(choices: Sequence[Choice], outlook: Outlook) -> Choice:
    """The lower the more jobs wait; see `DROPS`."""
    reached = [tier for tier, queued in DROPS.items() if outlook.queued >= queued]
    return _at_or_below(reached[-1], choices) if reached else choices[0]


def fits(choices: Sequence[Choice], outlook: Outlook) -> Choice:
    """The best of which the forecast keeps the deadline; where none does, the least work."""
    for choice in choices:
        if choice.forecast.p50_s <= outlook.left_s:
            return choice
    return choices[-1]


RULES: Mapping[str, TierRule] = {
    "asked": as_asked,
    **{str(tier): fixed(tier) for tier in Tier},
    "threshold": threshold,
    "fits": fits,
}


def _at_or_below(tier: Tier, choices: Sequence[Choice]) -> Choice:
    return next((choice for choice in choices if choice.tier.rank >= tier.rank), choices[-1])
