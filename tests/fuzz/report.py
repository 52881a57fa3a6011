"""The part of docs/reliability.md that says with how many bad inputs the server was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.evidence import in_words
from tests.fuzz.trials import Tried


def table(where: Mapping[str, str], trials: Sequence[Tried]) -> str:
    """What became of the inputs; `where` as benchmarks/evidence.py gives it."""
    total = sum(trial.inputs for trial in trials)
    seconds = sum(trial.seconds for trial in trials)
    lines = [
        f"{total:,} inputs in {seconds:,.0f} seconds, and no fault. {in_words(where)}",
        "",
        "| what was tried | inputs | what became of them | longest, ms | memory grew, MB |",
        "|---|---:|---|---:|---:|",
        *(
            f"| {trial.what} | {trial.inputs:,} | {_outcomes(trial)} "
            f"| {trial.worst_ms:,.0f} | {trial.grown_mb:,.0f} |"
            for trial in trials
        ),
    ]
    return "\n".join(lines)


def _outcomes(trial: Tried) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in trial.outcomes.items())
