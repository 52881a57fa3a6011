"""What callers ask for: kinds of work with their seconds, and what a tier saves and costs.

The seconds are inputs of a study, chosen to spread as a diffusion model's do on one datacenter GPU.
They are not measured here; a trace file may bring its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.tiers import Tier

TIER_WORK = {
    Tier.NONE: 1.0,
    Tier.SLOW: 0.69,
    Tier.MEDIUM: 0.57,
    Tier.FAST: 0.46,
    Tier.ULTRA: 0.33,
}
"""Seconds of a tier, relative to `none`: assumed, near the shares of steps that 28 steps compute
(.643, .536, .393, .286 by cache-dit's presets) with a fixed part that no cache saves."""

TIER_QUALITY = {
    Tier.NONE: 1.0,
    Tier.SLOW: 0.98,
    Tier.MEDIUM: 0.97,
    Tier.FAST: 0.93,
    Tier.ULTRA: 0.85,
}
"""An index of quality to weigh tiers by; assumed."""


@dataclass(frozen=True)
class Kind:
    """Requests that cost the same: `none_s` seconds in tier `none` on a replica of speed 1.

    `frames` is None for pictures. `share` is the part of all requests, relative to other kinds'.
    """

    width: int
    height: int
    steps: int
    none_s: float
    share: float = 1.0
    frames: int | None = None


MIXES = {
    "C": (
        Kind(512, 512, 20, 1.72, 0.15),
        Kind(768, 768, 20, 2.06, 0.25),
        Kind(1024, 1024, 25, 4.15, 0.45),
        Kind(1536, 1536, 35, 13.83, 0.15),
    ),
    "bimodal": (
        Kind(512, 512, 20, 1.72, 0.85),
        Kind(1536, 1536, 50, 19.8, 0.15),
    ),
    "image+video": (
        Kind(512, 512, 8, 0.4, 0.30),
        Kind(512, 512, 20, 1.72, 0.25),
        Kind(1024, 1024, 25, 4.15, 0.20),
        Kind(1536, 1536, 35, 13.83, 0.10),
        Kind(832, 480, 20, 18.0, 0.10, frames=33),
        Kind(832, 480, 30, 40.0, 0.05, frames=81),
    ),
}
"""Mixes by name; `C` is text to image in four sizes, `bimodal` has short and very long."""


def mean_none_s(kinds: tuple[Kind, ...]) -> float:
    """Mean seconds of a request in tier `none` on a replica of speed 1."""
    return sum(kind.share * kind.none_s for kind in kinds) / sum(kind.share for kind in kinds)
