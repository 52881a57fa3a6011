"""The spelling of drawn traces: `poisson:C:load=0.9`, `gamma:bimodal:load=1.8,tier=auto,cv=4`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError

from cluster.errors import ConfigError
from cluster.sections import Section, fault_lines, shown
from cluster.simulator.arrivals import ArrivalProcess, Day, Gamma, Poisson
from cluster.simulator.mixes import MIXES, Kind, mean_none_s
from cluster.simulator.traces import FLOORS, DrawnTrace
from cluster.tiers import Tier

SPELLING = (
    "ARRIVALS:MIX:KEY=VALUE,... with arrivals poisson, gamma or day and the mixes "
    f"{', '.join(MIXES)}. Keys: load (work at tier none / replicas, 0.9), tier (none; auto draws "
    "floors), floors (percent of none/slow/medium/fast/ultra, 5/10/20/30/35), deadline (times the "
    "seconds at none, 3; 0 for no deadline), late (accept or refuse), noise (sigma of the work, "
    "0), callers (weights such as 3/1/1), cv (of gamma, 4), period_s and swing (of day, 3600 and "
    "0.5)"
)


def _shares(text: object) -> object:
    """ "3/1" as (3.0, 1.0); what is no such text is left to pydantic to refuse."""
    if not isinstance(text, str):
        return text
    return tuple(part.strip() for part in text.split("/"))


Shares = Annotated[
    tuple[Annotated[float, Field(ge=0, strict=False)], ...], BeforeValidator(_shares)
]


class PoissonName(Section):
    """The keys that every trace has."""

    load: float = Field(0.9, gt=0, le=100, strict=False)
    tier: Literal["auto", "none", "slow", "medium", "fast", "ultra"] = "none"
    floors: Shares | None = Field(None, min_length=len(Tier), max_length=len(Tier))
    deadline: float = Field(3.0, ge=0, le=1e6, strict=False)
    late: Literal["refuse", "accept"] = "accept"
    noise: float = Field(0.0, ge=0, le=3, strict=False)
    callers: Shares = Field((1.0,), max_length=len(ascii_lowercase))

    @property
    def process(self) -> ArrivalProcess:
        return Poisson()


class GammaName(PoissonName):
    """Bursts."""

    cv: float = Field(4.0, ge=0.01, le=100, strict=False)

    @property
    def process(self) -> ArrivalProcess:
        return Gamma(self.cv)


class DayName(PoissonName):
    """A rate that swings."""

    period_s: float = Field(3600.0, gt=0, strict=False)
    swing: float = Field(0.5, ge=0, le=1, strict=False)

    @property
    def process(self) -> ArrivalProcess:
        return Day(self.period_s, self.swing)


_NAMES: Mapping[str, type[PoissonName]] = {
    "poisson": PoissonName,
    "gamma": GammaName,
    "day": DayName,
}


@dataclass(frozen=True)
class TraceName:
    """A trace as it is spelt, before the number of requests and the replicas are known."""

    text: str
    kinds: tuple[Kind, ...]
    keys: PoissonName

    def trace(self, requests: int, capacity: float) -> DrawnTrace:
        """Such a trace for replicas that do `capacity` seconds of `none` work in a second.

        Load is arrival rate x mean seconds at `none` / capacity, whatever tiers are asked for.
        """
        keys = self.keys
        return DrawnTrace(
            process=keys.process,
            rate=keys.load * capacity / mean_none_s(self.kinds),
            requests=requests,
            kinds=self.kinds,
            tier=keys.tier,
            floors=dict(zip(Tier, keys.floors, strict=True)) if keys.floors else FLOORS,
            deadline_factor=keys.deadline or None,
            late=keys.late,
            noise=keys.noise,
            callers=dict(zip(ascii_lowercase, keys.callers, strict=False)),
        )


def parse_trace_name(text: str) -> TraceName:
    """The trace that a text spells.

    Raises:
        ConfigError: it spells none; the message says how it is done.
    """
    arrivals, _, rest = text.partition(":")
    mix, _, keys = rest.partition(":")
    if arrivals not in _NAMES or mix not in MIXES:
        raise ConfigError(f"trace {shown(text)}: no such trace; a trace is {SPELLING}")
    pairs = [pair.partition("=")[::2] for pair in keys.split(",") if pair]
    try:
        named = _NAMES[arrivals].model_validate(dict(pairs))
    except ValidationError as error:
        raise ConfigError(f"trace {shown(text)}: {'; '.join(fault_lines(error))}") from error
    if not sum(named.callers) or (named.floors and not sum(named.floors)):
        raise ConfigError(f"trace {shown(text)}: shares must not all be 0")
    return TraceName(text, MIXES[mix], named)
