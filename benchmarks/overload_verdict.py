"""What came of more requests than a server can serve, in numbers, and what is wrong with them."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.growth import MOST_MB_A_MINUTE, Slope
from benchmarks.paced import Called
from benchmarks.picture_calls import Answer
from cluster.simulator.results import percentile

LEAST_SHARE_OF_CAPACITY = 0.9
REFUSAL_S = 0.05
REFUSED = 429
BROKEN = 504
"""A deadline that was promised, and had passed before the work began."""

_REFUSED_LINE = re.compile(rf"POST /v1/images/generations {REFUSED} ([\d.]+)ms")

MOST_CALLER_CPU = 0.5
MOST_CALLER_LAG_S = 0.05
"""Of the callers' own process: with more, what is measured is them."""


@dataclass(frozen=True)
class Latencies:
    """Seconds by percentile, and the share that took less than `REFUSAL_S`."""

    count: int
    p50_s: float
    p95_s: float
    p99_s: float
    share_under: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latencies:
        """Raises ValueError for none."""
        if not seconds:
            raise ValueError("no percentile of no latencies")
        ordered = sorted(seconds)
        p50_s, p95_s, p99_s = (percentile(ordered, part) or 0.0 for part in (0.5, 0.95, 0.99))
        under = sum(each < REFUSAL_S for each in ordered) / len(ordered)
        return cls(len(ordered), p50_s, p95_s, p99_s, under)


def is_good(call: Called[Answer]) -> bool:
    """The right picture, and within the deadline if it carries one, by the caller's clock."""
    deadline_s = call.outcome.deadline_s
    return call.outcome.right and (deadline_s is None or call.took_s <= deadline_s)


def goodput(calls: Sequence[Called[Answer]], seconds: float) -> float:
    """Good answers a second of those that came within so many seconds."""
    return sum(is_good(call) and call.ended_s <= seconds for call in calls) / seconds


def statuses(calls: Sequence[Called[Answer]]) -> Counter[int | None]:
    return Counter(call.outcome.status for call in calls)


def refusals_in(log: str) -> list[float]:
    """Seconds that each refusal took, by the access log of Serve's HTTP proxy."""
    return [float(ms) / 1000 for ms in _REFUSED_LINE.findall(log)]


@dataclass(frozen=True)
class Overload:
    """A run. Capacities are good answers a second of windows before and after the overload.

    `in_server` are the refusals as the server's own proxy timed them; `lag_p99_s` and `caller_cpu`
    are the callers' own: how late they sent, and their share of a core.
    """

    before: Sequence[float]
    after: Sequence[float]
    seconds: float
    calls: Sequence[Called[Answer]]
    in_server: Latencies
    lag_p99_s: float
    caller_cpu: float
    memory: Mapping[str, Slope]

    @property
    def refusals(self) -> Latencies:
        """As the callers saw them."""
        refused = [each.took_s for each in self.calls if each.outcome.status == REFUSED]
        return Latencies.of(refused)

    @property
    def capacity(self) -> float:
        """The median of all windows: the machine's speed drifts."""
        return statistics.median([*self.before, *self.after])

    @property
    def goodput(self) -> float:
        return goodput(self.calls, self.seconds)

    @property
    def late(self) -> int:
        """Right pictures that came after their deadline."""
        return sum(call.outcome.right and not is_good(call) for call in self.calls)


def faults(run: Overload) -> list[str]:
    """A sentence for each thing that is not as it should be."""
    found = []
    share = run.goodput / run.capacity
    if share < LEAST_SHARE_OF_CAPACITY:
        found.append(f"goodput is {share:.1%} of capacity, less than {LEAST_SHARE_OF_CAPACITY:.0%}")
    if run.refusals.p95_s >= REFUSAL_S:
        found.append(
            f"95 % of the refusals take {1000 * run.refusals.p95_s:.0f} ms, "
            f"not less than {1000 * REFUSAL_S:.0f}"
        )
    found += [
        f"{role} grows by {slope.a_minute:.2f} MB a minute, more than {MOST_MB_A_MINUTE:g}"
        for role, slope in run.memory.items()
        if slope.is_growth(MOST_MB_A_MINUTE)
    ]
    for status, count in statuses(run.calls).items():
        if status not in (200, REFUSED, BROKEN):
            says = next(call.outcome.says for call in run.calls if call.outcome.status == status)
            found.append(f"{count} were answered {status}: {says}")
    if broken := statuses(run.calls)[BROKEN]:
        found.append(f"{broken} deadlines were promised and passed (504)")
    if wrong := sum(call.outcome.status == 200 and not call.outcome.right for call in run.calls):
        found.append(f"{wrong} pictures are not those that an idle server makes")
    if run.caller_cpu > MOST_CALLER_CPU or run.lag_p99_s > MOST_CALLER_LAG_S:
        found.append(
            f"the callers are the bottleneck: {run.caller_cpu:.0%} of a core, and 1 % are sent "
            f"{1000 * run.lag_p99_s:.0f} ms too late or more"
        )
    return found
