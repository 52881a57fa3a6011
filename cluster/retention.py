"""Which stored results are to go: those that are too old, and the oldest of too many bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stored:
    """A result that is kept. `stored_at_s` is in seconds since the epoch."""

    key: str
    size_bytes: int
    stored_at_s: float


@dataclass(frozen=True)
class Deletion:
    """A result that is to go, and why."""

    key: str
    reason: str


def deletions(
    stored: Iterable[Stored], now_s: float, max_age_s: float, max_bytes: int | None
) -> tuple[Deletion, ...]:
    """All that are older than `max_age_s`, then the oldest until no more than `max_bytes` are left.

    The oldest come first, and those of one moment by their keys: whoever decides on the same
    results, or on those that another's deletions have left, deletes nothing more than the first.
    """
    oldest_first = sorted(stored, key=lambda result: (result.stored_at_s, result.key))
    left_bytes = sum(result.size_bytes for result in oldest_first)
    decided = []
    for result in oldest_first:
        age_s = now_s - result.stored_at_s
        if age_s > max_age_s:
            reason = f"{age_s:.0f} s old, more than max_age_s, {max_age_s:g}"
        elif max_bytes is not None and left_bytes > max_bytes:
            reason = f"the oldest of {left_bytes} bytes, more than max_bytes, {max_bytes}"
        else:
            break
        decided.append(Deletion(result.key, reason))
        left_bytes -= result.size_bytes
    return tuple(decided)
