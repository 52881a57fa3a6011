"""Orders of a central line: who is next."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

from cluster.queue import Waiting

Key = tuple[float, ...]
"""The least comes first. It ends with the number of arrival, so that no two are equal."""


class Order(Protocol):
    """Jobs that wait."""

    def add(self, waiting: Waiting) -> None: ...

    def first(self, now_s: float) -> Key | None:
        """The key of the one who is next, to compare with that of another line; None: nobody."""

    def take(self) -> Waiting:
        """Takes out the one whose key `first` told just now."""


class Sorted:
    """By a key that does not change while a job waits."""

    def __init__(self, key: Callable[[Waiting], Key]) -> None:
        self._key = key
        self._heap: list[tuple[Key, Waiting]] = []

    def add(self, waiting: Waiting) -> None:
        heappush(self._heap, (self._key(waiting), waiting))

    def first(self, now_s: float) -> Key | None:
        return self._heap[0][0] if self._heap else None

    def take(self) -> Waiting:
        return heappop(self._heap)[1]


class HopelessLast:
    """Earliest deadline first, but those that can no longer make it come after all others.

    Among these the shortest work comes first. A job can make it while its least acceptable work,
    begun now, would end by its deadline.
    """

    def __init__(self) -> None:
        self._hopeful: list[tuple[float, int, Waiting]] = []
        self._hopeless: list[tuple[float, int, Waiting]] = []

    def add(self, waiting: Waiting) -> None:
        heappush(self._hopeful, (waiting.due_s, waiting.number, waiting))

    def first(self, now_s: float) -> Key | None:
        while self._hopeful:
            due_s, number, waiting = self._hopeful[0]
            if now_s + waiting.least_s <= due_s:
                return (0, due_s, number)
            heappop(self._hopeful)
            heappush(self._hopeless, (waiting.least_s, number, waiting))
        return (1, *self._hopeless[0][:2]) if self._hopeless else None

    def take(self) -> Waiting:
        return heappop(self._hopeful or self._hopeless)[2]


def by_arrival(waiting: Waiting) -> Key:
    return (waiting.number,)


def by_deadline(waiting: Waiting) -> Key:
    return (waiting.due_s, waiting.number)
