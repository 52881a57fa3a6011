"""What a soak has shown, and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.growth import MOST_MB_A_MINUTE, Slope
from benchmarks.process_sizes import Sample, Total
from benchmarks.soak_callers import Heard

MOST_FILES_MORE = 5
"""Of a role at rest, after beside before: connections between processes come and go."""


@dataclass(frozen=True)
class AtRest:
    """A server with nothing to do: its processes by role, and what lives in Ray."""

    totals: Mapping[str, Total]
    living: Mapping[str, int]


@dataclass(frozen=True)
class Soak:
    """A run; `memory` is of its second half."""

    minutes: float
    heard: Heard
    before: AtRest
    after: AtRest
    samples: Sequence[Sample]
    memory: Mapping[str, Slope]


def faults(soak: Soak) -> list[str]:
    """A sentence for each thing that is not as it should be."""
    found = [sentence for came in soak.heard.kinds.values() for sentence in came.sentences]
    found += [
        f"{role} grows by {slope.a_minute:.2f} MB a minute, more than {MOST_MB_A_MINUTE:g}"
        for role, slope in soak.memory.items()
        if slope.is_growth(MOST_MB_A_MINUTE)
    ]
    for role, before in soak.before.totals.items():
        after = soak.after.totals.get(role)
        if after is None or after.pids != before.pids:
            found.append(f"{role}: not the same processes after as before")
        elif after.files > before.files + MOST_FILES_MORE:
            found.append(f"{role}: {after.files} open files after {before.files}")
    if soak.before.living != soak.after.living:
        found.append(f"in Ray lives {soak.after.living} after {soak.before.living}")
    return found
