"""An overload as the part of docs/reliability.md that tells of it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.growth import MOST_MB_A_MINUTE, Slope
from benchmarks.overload_verdict import (
    BROKEN,
    REFUSAL_S,
    REFUSED,
    Latencies,
    Overload,
    faults,
    statuses,
)


def table(run: Overload, times: float, steps: int, callers: int, queued: int) -> str:
    """Markdown: what was found beside what is wanted, and the growth of memory by role."""
    before, after = statistics.median(run.before), statistics.median(run.after)
    rows = [
        ("capacity before, pictures/s", _windows(run.before), ""),
        ("capacity after, pictures/s", _windows(run.after), ""),
        ("requests sent", f"{len(run.calls):,} in {run.seconds:.0f} s", ""),
        ("answered 200 / 429 / 504", _answers(run), "all of them; no 504"),
        ("goodput, pictures/s", f"{run.goodput:.2f}", ""),
        ("goodput of capacity", f"{run.goodput / run.capacity:.1%}", ">= 90 %"),
        ("... of that before / after", _shares(run.goodput, before, after), ""),
        ("right but after their deadline", f"{run.late:,}", ""),
        ("refusals at the caller", _latencies(run.refusals), f"p95 < {1000 * REFUSAL_S:.0f} ms"),
        ("refusals in Serve's proxy", _latencies(run.in_server), ""),
        ("callers: CPU / late by (p99)", _callers(run), "<= 50 % / <= 50 ms"),
    ]
    missed = faults(run)
    return "\n".join(
        [
            f"{times:g} times the capacity; {steps} steps a picture, {queued} may wait; capacity "
            f"with {callers} callers. " + (f"Missed: {'; '.join(missed)}." if missed else ""),
            "",
            "| | found | wanted |",
            "|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            *memory_lines(run.memory),
        ]
    )


def memory_lines(memory: Mapping[str, Slope]) -> list[str]:
    """A table of slopes by role."""
    return [
        f"| process | memory grows, MB/min (wanted: <= {MOST_MB_A_MINUTE:g}) | 95 % between |",
        "|---|---:|---:|",
        *(
            f"| {role} | {slope.a_minute:+.2f} | {slope.low:+.2f} and {slope.high:+.2f} |"
            for role, slope in memory.items()
        ),
    ]


def _windows(values: Sequence[float]) -> str:
    return (
        f"{statistics.median(values):.2f} [{min(values):.2f} to {max(values):.2f}], "
        f"{len(values)} windows"
    )


def _answers(run: Overload) -> str:
    counted = statuses(run.calls)
    return f"{counted[200]:,} / {counted[REFUSED]:,} / {counted[BROKEN]:,}"


def _shares(goodput: float, before: float, after: float) -> str:
    return f"{goodput / before:.1%} / {goodput / after:.1%}"


def _latencies(found: Latencies) -> str:
    p50, p95, p99 = (1000 * each for each in (found.p50_s, found.p95_s, found.p99_s))
    return (
        f"p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} ms; "
        f"{found.share_under:.1%} under {1000 * REFUSAL_S:.0f} ms"
    )


def _callers(run: Overload) -> str:
    return f"{run.caller_cpu:.0%} of a core / {1000 * run.lag_p99_s:.0f} ms"
