"""A soak as the part of docs/reliability.md that tells of it."""

from __future__ import annotations

from benchmarks.growth import MOST_MB_A_MINUTE
from benchmarks.soak_verdict import Soak, faults


def table(soak: Soak) -> str:
    """Markdown: what was asked, and what became of each role of process."""
    heard, missed = soak.heard, faults(soak)
    answers = ", ".join(f"{status}: {count:,}" for status, count in sorted(heard.answers.items()))
    return "\n".join(
        [
            f"{sum(heard.answers.values()):,} answers ({answers}) to "
            f"{sum(came.times for came in heard.kinds.values()):,} conversations in "
            f"{soak.minutes:g} minutes, {heard.a_second:.1f} a second. "
            + (f"Missed: {'; '.join(missed)}." if missed else "Nothing was missed."),
            "",
            "| conversation | times | wrong |",
            "|---|---:|---:|",
            *(
                f"| {kind} | {came.times:,} | {came.wrong:,} |"
                for kind, came in heard.kinds.items()
            ),
            "",
            "| process | how many | memory at rest, MB: before, after "
            f"| grows, MB/min (wanted: <= {MOST_MB_A_MINUTE:g}) | 95 % between "
            "| files: before, after | threads: before, after |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *_rows(soak),
            "",
            f"In Ray lived before and after: {_living(soak)}.",
        ]
    )


def _rows(soak: Soak) -> list[str]:
    rows = []
    for role, slope in soak.memory.items():
        before, after = soak.before.totals.get(role), soak.after.totals.get(role)
        if before is None or after is None:
            continue
        rows.append(
            f"| {role} | {len(after.pids)} | {before.memory_mb:.0f}, {after.memory_mb:.0f} "
            f"| {slope.a_minute:+.2f} | {slope.low:+.2f} and {slope.high:+.2f} "
            f"| {before.files}, {after.files} | {before.threads}, {after.threads} |"
        )
    return rows


def _living(soak: Soak) -> str:
    names = sorted({*soak.before.living, *soak.after.living})
    return ", ".join(
        f"{name} {soak.before.living.get(name, 0)}, {soak.after.living.get(name, 0)}"
        for name in names
    )
