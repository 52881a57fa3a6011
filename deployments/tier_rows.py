"""Tiers side by side: what each made of one prompt, next to `none` of the same seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from cluster.tiers import Tier
from deployments.fidelity import frames_of, pixels_psnr_db

Judge = Callable[[str, Image.Image], tuple[int, int] | None]
"""Facts right and facts asked of a prompt and its picture; None where it cannot tell."""


@dataclass(frozen=True)
class Made:
    """A whole file of a picture or clip, its steps, and the seconds of the engine's work on it.

    `suffix` is what the file's name ends in, such as `png`.
    """

    file: bytes
    suffix: str
    steps_computed: int
    steps: int
    seconds: float


@dataclass(frozen=True)
class TierRow:
    """What a tier made, and how it compares; `picture` is the first frame of a clip."""

    tier: Tier
    made: Made
    picture: Image.Image
    speed_up: float | None
    psnr_db: float | None
    adherence: tuple[int, int] | None


def tier_rows(made: Mapping[Tier, Made], prompt: str, judge: Judge | None = None) -> list[TierRow]:
    """One row per tier; speed-up and PSNR where `none` is among them."""
    frames = {tier: frames_of(each.file) for tier, each in made.items()}
    pictures = {tier: Image.fromarray(each[0]) for tier, each in frames.items()}
    best = Tier.NONE if Tier.NONE in made else None
    return [
        TierRow(
            tier=tier,
            made=each,
            picture=pictures[tier],
            speed_up=made[best].seconds / each.seconds if best else None,
            psnr_db=pixels_psnr_db(frames[tier], frames[best]) if best else None,
            adherence=judge(prompt, pictures[tier]) if judge else None,
        )
        for tier, each in made.items()
    ]
