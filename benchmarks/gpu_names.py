"""What `benchmarks.gpu_tiers` calls its arms, and what one of them did. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.tiers import Tier


@dataclass(frozen=True)
class Build:
    """A transformer in one setting: bare diffusers' or, `served`, dit-serve's with its cache."""

    served: bool = False
    compiled: bool = False
    float8: bool = False


@dataclass(frozen=True)
class ArmName:
    """A build, and the tier where it has a cache."""

    build: Build
    tier: Tier | None = None

    def __str__(self) -> str:
        who = f"dit-serve {self.tier}" if self.build.served else "diffusers"
        parts = (who, "compile" * self.build.compiled, "float8" * self.build.float8)
        return " + ".join(part for part in parts if part)


@dataclass(frozen=True)
class Denoised:
    """Seconds of each step on the device, and the mask: 1 for a step computed, 0 for one cached."""

    step_s: tuple[float, ...]
    mask: tuple[int, ...]

    @property
    def denoise_s(self) -> float:
        """The whole denoise stage."""
        return sum(self.step_s)


COMPILED = Build(served=True, compiled=True)
ALL_TOGETHER = Build(served=True, compiled=True, float8=True)

BARE = ArmName(Build())
"""diffusers as it stands, in bfloat16: what every speed-up is over."""

ARMS = (
    BARE,
    ArmName(Build(compiled=True)),
    ArmName(Build(compiled=True, float8=True)),
    ArmName(Build(served=True), Tier.NONE),
    ArmName(Build(served=True), Tier.ULTRA),
    *(ArmName(COMPILED, tier) for tier in Tier),
    ArmName(ALL_TOGETHER, Tier.NONE),
    ArmName(ALL_TOGETHER, Tier.ULTRA),
)
"""In the order of the tables."""
