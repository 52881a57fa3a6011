"""One way of being tried: many made-up inputs, each of which must have one of a few outcomes."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

_EVERY_CHECK = list(HealthCheck)


@dataclass(frozen=True)
class Tried:
    """What became of the inputs of one kind.

    `worst_ms` is the longest that one took, `grown_mb` by how much this process' largest size in
    memory grew meanwhile.
    """

    what: str
    inputs: int
    outcomes: Mapping[str, int]
    seconds: float
    worst_ms: float
    grown_mb: float


def tried(
    what: str,
    inputs: SearchStrategy[T],
    outcome_of: Callable[[T], str],
    most: int,
    seed: int,
) -> Tried:
    """Gives up to `most` inputs to `outcome_of`, which says what became of one.

    The same seed gives the same inputs. What `outcome_of` raises is raised here, with the smallest
    input that was found to do so.
    """
    outcomes: Counter[str] = Counter()
    worst_s = 0.0

    def one(value: T) -> None:
        nonlocal worst_s
        started = time.perf_counter()
        outcome = outcome_of(value)
        worst_s = max(worst_s, time.perf_counter() - started)
        outcomes[outcome] += 1

    quietly = settings(
        max_examples=most,
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=_EVERY_CHECK,
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
    )
    before_mb, started = _largest_mb(), time.perf_counter()
    quietly(seeded(seed)(given(inputs)(one)))()
    return Tried(
        what,
        outcomes.total(),
        dict(sorted(outcomes.items())),
        time.perf_counter() - started,
        1000 * worst_s,
        _largest_mb() - before_mb,
    )


def _largest_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
