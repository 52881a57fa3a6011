"""Traces: requests with their times and true costs, the same for every policy that meets them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice, repeat
from random import Random
from typing import Literal, Protocol, TypeVar

from cluster.job import Job
from cluster.simulator.arrivals import ArrivalProcess
from cluster.simulator.mixes import Kind
from cluster.tiers import AUTO, Tier

Value = TypeVar("Value")

FLOORS = {
    Tier.NONE: 0.05,
    Tier.SLOW: 0.10,
    Tier.MEDIUM: 0.20,
    Tier.FAST: 0.30,
    Tier.ULTRA: 0.35,
}
"""Shares of requests that accept no less than a tier."""

MODEL = "simulated"
_DRAWN_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that comes at `at_s`; its work takes `slowness` times the median of its kind."""

    at_s: float
    job: Job
    slowness: float = 1.0


class Trace(Protocol):
    """Requests of a few kinds, in the order of their times."""

    @property
    def kinds(self) -> Sequence[Kind]: ...

    @property
    def noise(self) -> float:
        """Sigma of the lognormal slowness of requests; 0 where forecasts are exact."""

    @property
    def wishes(self) -> Collection[tuple[str, Tier | None]]:
        """The tiers asked for, each with its floor, that may occur."""

    @property
    def requests(self) -> int: ...

    def arrivals(self, seed: int) -> Iterator[Arrival]: ...


@dataclass(frozen=True)
class DrawnTrace:
    """So many requests at a mean rate per second, made from a seed.

    `tier` is what all ask for; with `auto` the floor of each is drawn by the shares `floors`. A
    deadline is `deadline_factor` times the seconds of the request's kind at `none`, after its
    arrival; None is no deadline. `callers` are names with the shares of their requests. Each
    property is drawn from a series of its own: another `tier` or `noise` leaves the rest as it is.
    """

    process: ArrivalProcess
    rate: float
    requests: int
    kinds: tuple[Kind, ...]
    tier: str = Tier.NONE
    floors: Mapping[Tier, float] = field(default_factory=lambda: FLOORS)
    deadline_factor: float | None = 3.0
    late: Literal["refuse", "accept"] = "accept"
    noise: float = 0.0
    callers: Mapping[str, float] = field(default_factory=lambda: {"": 1.0})

    @property
    def wishes(self) -> Collection[tuple[str, Tier | None]]:
        """What is asked for."""
        if self.tier != AUTO:
            return [(self.tier, None)]
        return [(AUTO, floor) for floor, share in self.floors.items() if share]

    def arrivals(self, seed: int) -> Iterator[Arrival]:
        """The requests, each made when it is asked for."""
        times = self.process.times(self.rate, _series(seed, "times"))
        kinds = _drawn({kind: kind.share for kind in self.kinds}, _series(seed, "kinds"))
        floors = _drawn(self.floors, _series(seed, "floors")) if self.tier == AUTO else repeat(None)
        callers = _drawn(self.callers, _series(seed, "callers"))
        slowness = self._slowness(_series(seed, "noise"))
        drawn = islice(zip(times, kinds, floors, callers, slowness, strict=False), self.requests)
        for number, (at_s, kind, floor, caller, slow) in enumerate(drawn):
            deadline_s = self.deadline_factor and self.deadline_factor * kind.none_s
            job = simulated_job(number, kind, self.tier, floor, deadline_s, self.late, caller)
            yield Arrival(at_s, job, slow)

    def _slowness(self, random: Random) -> Iterator[float]:
        if not self.noise:
            return repeat(1.0)
        return iter(lambda: random.lognormvariate(0.0, self.noise), None)


def simulated_job(
    number: int,
    kind: Kind,
    tier: str,
    min_tier: Tier | None,
    deadline_s: float | None,
    late: Literal["refuse", "accept"],
    caller: str,
    priority: int = 0,
) -> Job:
    """A job that asks for work of a kind, and for no picture in particular."""
    return Job(
        request_id=str(number),
        model=MODEL,
        prompt="",
        n=1,
        width=kind.width,
        height=kind.height,
        tier_requested=tier,
        min_tier=min_tier,
        num_inference_steps=kind.steps,
        num_frames=kind.frames,
        seed=0,
        deadline_s=deadline_s,
        late=late,
        priority=priority,
        caller=caller,
    )


def _series(seed: int, name: str) -> Random:
    return Random(f"{seed} {name}")


def _drawn(shares: Mapping[Value, float], random: Random) -> Iterator[Value]:
    """Values by their shares, for ever."""
    values, sums = list(shares), list(accumulate(shares.values()))
    if len(values) == 1:
        yield from repeat(values[0])
    while True:
        yield from random.choices(values, cum_weights=sums, k=_DRAWN_AT_ONCE)
