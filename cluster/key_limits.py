"""What one key may use of a model: the section `key_limits` of the config, `limits` of a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from cluster.sections import Section

TierWord = Literal["auto", "none", "slow", "medium", "fast", "ultra"]
"""A tier as requests ask for it; `auto` leaves it to the router."""

IN_FLIGHT = "in_flight"
REQUESTS = "requests_per_minute"
GPU_SECONDS = "gpu_seconds_per_minute"


class UseLimits(Section):
    """The most at a time and the most a minute, with one model; nothing given is no limit.

    `in_flight` are requests that were accepted and have not ended. `gpu_seconds_per_minute` are
    forecast, as `cluster.gpu_seconds` says. A minute's worth may be used at once, and comes back
    steadily.
    """

    in_flight: int | None = Field(None, ge=1)
    requests_per_minute: int | None = Field(None, ge=1)
    gpu_seconds_per_minute: float | None = Field(None, gt=0)

    def per_minute(self) -> Iterator[tuple[str, float]]:
        """Those of a minute that are given, by their names."""
        if self.requests_per_minute is not None:
            yield REQUESTS, self.requests_per_minute
        if self.gpu_seconds_per_minute is not None:
            yield GPU_SECONDS, self.gpu_seconds_per_minute


class KeyLimits(UseLimits):
    """Limits of all that a key asks for, and of what it asks for in some tier; both hold.

    A request counts to the tier that it asks for, which is the model's default where it says
    nothing of tiers, and `auto` where it leaves the tier to the router, whatever that serves.
    """

    tiers: dict[TierWord, UseLimits] = Field(default_factory=dict)

    def over(self, tier: str) -> Iterator[tuple[str, UseLimits]]:
        """The limits of a request that asks for a tier, by how the config comes to each."""
        yield "", self
        for word, limits in self.tiers.items():
            if word == tier:
                yield f"tiers.{word}.", limits


def in_words(limits: KeyLimits) -> str:
    """The limits as one line for people, such as "in_flight 2, tiers.none.in_flight 1"."""
    given = limits.model_dump(exclude_none=True, exclude={"tiers"})
    parts = [f"{name} {value:g}" for name, value in given.items()]
    for word, each in limits.tiers.items():
        given = each.model_dump(exclude_none=True)
        parts += [f"tiers.{word}.{name} {value:g}" for name, value in given.items()]
    return ", ".join(parts) or "none"
