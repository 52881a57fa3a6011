"""A node that is to go: what of ours still runs on it, and what is done about that next.

Serve moves a replica off a draining node in one of two ways. Without a deadline it first starts
another one elsewhere, and the old one takes work until that is ready; where there is no room for
another one, for ever. With a deadline nearer than the replica's own time to stop it takes nothing
new, and finishes what it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_REPLICA = "SERVE_REPLICA::"
_PROXY = "SERVE_PROXY_ACTOR"
_RANK = "RankWorker"


class Step(StrEnum):
    """What is done next with a node that drains."""

    WAIT = "wait"
    FINISH = "finish"
    DRAINED = "drained"
    GIVE_UP = "give up"


@dataclass(frozen=True)
class Patience:
    """How long a node may take until nothing runs on it, in seconds.

    For `replace_s`, and half of `deadline_s` at most, what runs there goes on taking work while
    others are started elsewhere; then it only finishes what it has.
    """

    deadline_s: float
    replace_s: float

    @property
    def finish_after_s(self) -> float:
        return min(self.replace_s, self.deadline_s / 2)

    def next_step(self, left: Sequence[str], waited_s: float, finishing: bool) -> Step:
        """After `waited_s`, with that left on the node; `finishing`: it was told to finish."""
        if not left:
            return Step.DRAINED
        if waited_s >= self.deadline_s:
            return Step.GIVE_UP
        if waited_s >= self.finish_after_s and not finishing:
            return Step.FINISH
        return Step.WAIT


def name_of(actor: str, kind: str, told: str) -> str | None:
    """What an operator knows a Ray actor of ours by; None where it is none of ours.

    `actor` is its name in Ray, `kind` its class, and `told` how it names itself in logs.
    """
    if actor.startswith(_REPLICA):
        _, deployment, replica = actor.removeprefix(_REPLICA).split("#")
        return f"{deployment} {replica}"
    if actor.startswith(_PROXY):
        return "HTTP proxy"
    if kind.endswith(_RANK):
        return told or "rank"
    return None
