"""What is to be said of answers given while faults happened. Pure: values in, sentences out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cluster.errors import DitServeError, Failure, Refusal

Ended = Literal["picture", "refused", "strange", "unheard", "dropped", "hung"]
"""`strange`: an answer that is none of ours. `unheard`: no connection could be made. `dropped`: one
that was made ended without an answer."""

CUT_S = 5.0
"""A connection that the end of a process cut has ended so soon after it, at the caller too."""


@dataclass(frozen=True)
class Shape:
    """What decides the bytes of a picture or clip, beside the request itself."""

    pool: str
    tier: str
    parallelism: str
    seed: int


@dataclass(frozen=True)
class Answer:
    """What became of one request. Seconds since the load began.

    `answers` counts results and errors of one request: a stream could bring two of them.
    """

    number: int
    kind: str
    sent_s: float
    ended_s: float
    ended: Ended
    status: int = 0
    code: str = ""
    shape: Shape | None = None
    digest: str = ""
    attempts: int = 1
    answers: int = 1
    says: str = ""


@dataclass(frozen=True)
class Struck:
    """A fault that was made, and how the cluster came back. Seconds since the load began.

    `back_s` is when everything ran again, `gone_s` when the processes that were hit had ended;
    None where that was not seen. `cuts` says whether it ends the process that holds connections.
    `hits` is the pool, or the kind of request, that is to be right again; empty is any.
    """

    fault: str
    what: str
    began_s: float
    gone_s: float | None
    back_s: float | None
    cuts: bool
    hits: str
    note: str = ""

    def during(self, answer: Answer) -> bool:
        """Whether the request was under way between the fault and the end of its effects."""
        over_s = float("inf") if self.back_s is None else self.back_s
        return answer.sent_s <= over_s and answer.ended_s >= self.began_s

    def cut(self, answer: Answer) -> bool:
        """Whether the process that held the request's connection was this fault's.

        The request was under way when the process was hit, or came while it was stopped, and had
        no answer when the process ended.
        """
        if not self.cuts or self.gone_s is None:
            return False
        return answer.sent_s <= self.gone_s and self._ended_within(answer, self.gone_s + CUT_S)

    def closed(self, answer: Answer) -> bool:
        """Whether nobody listened, since the process that does was ended and not yet back."""
        over_s = float("inf") if self.back_s is None else self.back_s
        return self.cuts and self._ended_within(answer, over_s)

    def _ended_within(self, answer: Answer, over_s: float) -> bool:
        return self.began_s <= answer.ended_s <= over_s

    def concerns(self, answer: Answer) -> bool:
        pool = None if answer.shape is None else answer.shape.pool
        return self.hits in ("", answer.kind, pool)


INSIDE = 200
"""The status of an error that is told inside an answer: by a stream, or of a video that failed."""

ALLOWED = ("right", "refused", "dropped", "unheard")
"""What may become of a request."""


def documented() -> frozenset[tuple[int, str]]:
    """Status and code of every honest refusal: not now, or accepted and not finished."""
    kinds = [*_below(Refusal), *_below(Failure)]
    return frozenset((kind.http_status, kind.code) for kind in kinds if kind.code)


def _is_documented(answer: Answer) -> bool:
    return any(
        answer.code == code and answer.status in (status, INSIDE) for status, code in documented()
    )


def _below(kind: type[DitServeError]) -> Iterator[type[DitServeError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


def is_right(answer: Answer, references: Mapping[Shape, str]) -> bool:
    """Whether it is the one picture or clip that the undisturbed run made."""
    return (
        answer.ended == "picture"
        and answer.answers == 1
        and answer.shape is not None
        and references.get(answer.shape) == answer.digest
    )


def judged(answer: Answer, struck: Sequence[Struck], references: Mapping[Shape, str]) -> str:
    """`right`, `refused`, `dropped` or `unheard` by a fault of what listens, or what is wrong.

    A caller whose patience ends while what holds its connection is stopped is `dropped` too.
    """
    if is_right(answer, references):
        return "right"
    if answer.ended in ("dropped", "hung") and any(each.cut(answer) for each in struck):
        return "dropped"
    if answer.ended == "unheard" and any(each.closed(answer) for each in struck):
        return "unheard"
    if answer.ended == "hung":
        return "has no answer in its time"
    if answer.answers != 1:
        return f"has {answer.answers} answers"
    if answer.ended == "picture":
        return "has another picture than undisturbed"
    if answer.ended == "refused":
        if _is_documented(answer):
            return "refused"
        return f"is refused in no documented way: {answer.status} {answer.code or answer.says}"
    if answer.ended == "strange":
        return f"has an answer of no known form: {answer.status} {answer.says}"
    return f"is {answer.ended}, and nothing that held it was hit: {answer.says}"


def first_right_s(
    fault: Struck, answers: Sequence[Answer], references: Mapping[Shape, str]
) -> float | None:
    """Seconds from the fault to the first right answer to a request sent after it, of its kind."""
    ended = (
        answer.ended_s
        for answer in answers
        if answer.sent_s >= fault.began_s
        and fault.concerns(answer)
        and is_right(answer, references)
    )
    first = min(ended, default=None)
    return None if first is None else first - fault.began_s


def broken(
    answers: Sequence[Answer],
    sent: int,
    struck: Sequence[Struck],
    references: Mapping[Shape, str],
    before: Mapping[str, int],
    after: Mapping[str, int],
) -> list[str]:
    """One sentence for each promise that was not kept; empty when all were.

    `before` and `after` count what runs, by its kind, without load and before and after all faults.
    """
    found = []
    if len(answers) != sent:
        found.append(f"{sent} requests were sent, and {len(answers)} ended")
    for number, count in Counter(answer.number for answer in answers).items():
        if count > 1:
            found.append(f"request {number} ended {count} times")
    for answer in answers:
        says = judged(answer, struck, references)
        if says not in ALLOWED:
            found.append(f"request {answer.number} ({answer.kind}) {says}")
    for fault in struck:
        if fault.back_s is None:
            found.append(f"{fault.fault}: not everything ran again")
        if first_right_s(fault, answers, references) is None:
            found.append(f"{fault.fault}: no right answer after it")
    return found + [
        f"{kind}: {before.get(kind, 0)} before and {after.get(kind, 0)} after"
        for kind in sorted({*before, *after})
        if before.get(kind, 0) != after.get(kind, 0)
    ]
