"""Traces as lines of JSON: the kinds of work in the first, then a line for each request."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from cluster.errors import ConfigError
from cluster.sections import Section, fault_lines
from cluster.simulator.mixes import Kind
from cluster.simulator.traces import Arrival, Trace, simulated_job
from cluster.tiers import Tier

_Section = TypeVar("_Section", bound=Section)


class KindLine(Section):
    """A kind of work; its fields are those of `Kind`."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)
    steps: int = Field(ge=1)
    none_s: float = Field(gt=0)
    share: float = Field(1.0, ge=0)
    frames: int | None = Field(None, ge=1)


class FirstLine(Section):
    """What holds for the whole trace: its kinds, and the sigma of the slowness of requests."""

    kinds: tuple[KindLine, ...] = Field(min_length=1)
    noise: float = Field(0.0, ge=0)


class RequestLine(Section):
    """A request: of which kind it is (by size, steps and frames), what it asks, how slow it is."""

    at_s: float = Field(ge=0)
    width: int
    height: int
    steps: int
    frames: int | None = None
    tier: Literal["auto", "none", "slow", "medium", "fast", "ultra"] = "auto"
    min_tier: Literal["none", "slow", "medium", "fast", "ultra"] | None = None
    deadline_s: float | None = Field(None, gt=0)
    late: Literal["refuse", "accept"] = "refuse"
    priority: int = Field(0, ge=-10, le=10)
    caller: str = ""
    slowness: float = Field(1.0, gt=0)


@dataclass(frozen=True)
class RecordedTrace:
    """A trace that is the same for every seed."""

    kinds: tuple[Kind, ...]
    noise: float
    recorded: tuple[Arrival, ...]

    @property
    def wishes(self) -> Collection[tuple[str, Tier | None]]:
        return {(each.job.tier_requested, each.job.min_tier) for each in self.recorded}

    @property
    def requests(self) -> int:
        return len(self.recorded)

    def arrivals(self, seed: int) -> Iterator[Arrival]:
        return iter(self.recorded)


def trace_lines(trace: Trace, seed: int) -> Iterator[str]:
    """The lines of a file that holds this trace, without line ends."""
    yield json.dumps({"kinds": [asdict(kind) for kind in trace.kinds], "noise": trace.noise})
    for arrival in trace.arrivals(seed):
        job = arrival.job
        yield json.dumps(
            {
                "at_s": arrival.at_s,
                "width": job.width,
                "height": job.height,
                "steps": job.num_inference_steps,
                "frames": job.num_frames,
                "tier": job.tier_requested,
                "min_tier": job.min_tier,
                "deadline_s": job.deadline_s,
                "late": job.late,
                "priority": job.priority,
                "caller": job.caller,
                "slowness": arrival.slowness,
            }
        )


def read_trace(lines: Iterable[str], source: str) -> RecordedTrace:
    """The trace in the lines of a file; `source` begins every message.

    Raises:
        ConfigError: a line is no JSON, has an unknown key or a wrong value, or is of a kind that
            the first does not name or names twice; or times fall; or there is no request.
    """
    numbered = enumerate(lines, 1)
    number, text = next(numbered, (1, ""))
    first = _parsed(FirstLine, text, f"{source}:{number}")
    kinds = tuple(Kind(**kind.model_dump()) for kind in first.kinds)
    known = {(kind.width, kind.height, kind.steps, kind.frames): kind for kind in kinds}
    if len(known) < len(kinds):
        raise ConfigError(f"{source}:1: kinds: names a kind twice")
    recorded: list[Arrival] = []
    for number, text in numbered:
        where = f"{source}:{number}"
        line = _parsed(RequestLine, text, where)
        kind = known.get((line.width, line.height, line.steps, line.frames))
        if kind is None:
            raise ConfigError(f"{where}: of a kind that the first line does not name")
        if recorded and line.at_s < recorded[-1].at_s:
            raise ConfigError(f"{where}: at_s: earlier than the line before")
        job = simulated_job(
            len(recorded),
            kind,
            line.tier,
            Tier(line.min_tier) if line.min_tier else None,
            line.deadline_s,
            line.late,
            line.caller,
            line.priority,
        )
        recorded.append(Arrival(line.at_s, job, line.slowness))
    if not recorded:
        raise ConfigError(f"{source}: has no request")
    return RecordedTrace(kinds, first.noise, tuple(recorded))


def _parsed(kind: type[_Section], text: str, where: str) -> _Section:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: must be a mapping")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{where}: {'; '.join(fault_lines(error))}") from error
