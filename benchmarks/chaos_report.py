"""What a run under faults leaves: a JSON file, and a part of docs/reliability.md."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.chaos_verdict import (
    ALLOWED,
    Answer,
    Shape,
    Struck,
    broken,
    first_right_s,
    judged,
)
from benchmarks.evidence import in_words

PART = "chaos"


@dataclass(frozen=True)
class Run:
    """All that was seen of one run. `before` and `after` count what ran without load."""

    seed: int
    seconds: float
    per_s: float
    sent: int
    answers: Sequence[Answer]
    struck: Sequence[Struck]
    references: Mapping[Shape, str]
    before: Mapping[str, int]
    after: Mapping[str, int]
    not_made: Mapping[str, str]
    load_average: Sequence[float]

    def broken(self) -> list[str]:
        """One sentence for each promise that was not kept."""
        return broken(
            self.answers, self.sent, self.struck, self.references, self.before, self.after
        )

    def verdicts(self) -> Counter[str]:
        """How many answers there are of each verdict."""
        return Counter(judged(each, self.struck, self.references) for each in self.answers)


def record(run: Run, where: Mapping[str, str]) -> dict[str, Any]:
    """Everything that the JSON file holds."""
    return {
        "benchmark": "chaos",
        **where,
        "load_average": list(run.load_average),
        "settings": {"seed": run.seed, "seconds": run.seconds, "requests_per_s": run.per_s},
        "broken": run.broken(),
        "verdicts": dict(run.verdicts()),
        "faults": [
            asdict(each) | {"first_right_s": first_right_s(each, run.answers, run.references)}
            for each in run.struck
        ],
        "not_made": dict(run.not_made),
        "before": dict(run.before),
        "after": dict(run.after),
        "answers": [
            asdict(each) | {"verdict": judged(each, run.struck, run.references)}
            for each in run.answers
        ],
    }


def part(run: Run, where: Mapping[str, str]) -> str:
    """The words and the table of docs/reliability.md."""
    verdicts = run.verdicts()
    kinds = Counter(each.kind for each in run.answers)
    codes = Counter(f"{each.status} {each.code}" for each in _of(run, "refused"))
    again = sum(each.attempts > 1 for each in _of(run, "right"))
    lines = [
        in_words(where),
        "",
        f"{len(run.struck)} faults in {run.seconds / 60:.1f} minutes, seed {run.seed}; "
        f"{len(run.answers)} requests at {run.per_s:g} a second "
        f"({', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))}). "
        f"Right: {verdicts['right']}, of which {again} were begun more than once. "
        f"Refused: {verdicts['refused']}{_in_brackets(codes)}. "
        f"Connections that ended with the process that held them: {verdicts['dropped']}; "
        f"not made while nobody listened: {verdicts['unheard']}. "
        "Wrong, undocumented, doubled, hanging or left over: 0.",
        "",
        "| fault | times | noticed, s | first right answer, s | all is back, s "
        "| right | refused | dropped | unheard |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    names = sorted({each.fault for each in run.struck}, key=_first_seen(run.struck))
    lines += [_row(run, name) for name in names]
    lines += [f"\nNot made: {name}, since {why}." for name, why in run.not_made.items()]
    return "\n".join(lines)


def _row(run: Run, name: str) -> str:
    struck = [each for each in run.struck if each.fault == name]
    during = [each for each in run.answers if any(fault.during(each) for fault in struck)]
    verdicts = Counter(judged(each, run.struck, run.references) for each in during)
    notes = "; ".join(sorted({each.note for each in struck if each.note}))
    what = struck[0].what + (f" ({notes})" if notes else "")
    gone = [each.gone_s - each.began_s for each in struck if each.gone_s is not None]
    back = [each.back_s - each.began_s for each in struck if each.back_s is not None]
    first = [first_right_s(each, run.answers, run.references) for each in struck]
    cells = [
        what,
        str(len(struck)),
        _seconds(gone),
        _seconds([each for each in first if each is not None]),
        _seconds(back),
        *(str(verdicts[verdict]) for verdict in ALLOWED),
    ]
    return f"| {' | '.join(cells)} |"


def _first_seen(struck: Sequence[Struck]) -> Any:
    order = [each.fault for each in struck]
    return order.index


def _of(run: Run, verdict: str) -> list[Answer]:
    return [a for a in run.answers if judged(a, run.struck, run.references) == verdict]


def _in_brackets(counts: Mapping[str, int]) -> str:
    words = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return f" ({words})" if words else ""


def _seconds(values: Sequence[float]) -> str:
    """The median, and the range where there are several."""
    if not values:
        return "-"
    median = f"{statistics.median(values):.1f}"
    return median if len(values) == 1 else f"{median} ({min(values):.1f} to {max(values):.1f})"
