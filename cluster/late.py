"""Jobs that can no longer make it: served last, the shortest work first, callers in turn.

Nobody starves: among the late, waiting counts as well as shortness; and one that has waited very
long is entitled to a turn before those that can still make it. The later it is, the more often such
turns come.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from heapq import heappop, heappush

from cluster.queue import Waiting

AGEING = 0.1
"""Seconds of work that each second past its place makes up for, among one caller's late jobs."""

PATIENCE = 8.0
"""A job that has waited for so many times the time that it had is entitled to a turn."""

COUNTED = 3.0
"""Beyond its deadline, what it had counts as no less than its shortest work and as no more than so
many times that: who had an hour does not wait for eight."""

LATE_TURN = 20.0
"""One of so many seconds that a pool works goes to the entitled when the patience of the first is
just over; of half as many when it is late by twice as much, and so on."""

SHORTEST_TURN = 2.0
"""They never get more than one of so many seconds of work."""

_Heap = list[tuple[float, int]]
"""Of (key, number of arrival); numbers that are no longer here are dropped when they come up."""


class LateLine:
    """The late jobs of a model, in a lane for each set of pools that would serve them."""

    def __init__(self) -> None:
        self._here: dict[int, Waiting] = {}
        self._lanes: dict[frozenset[str], _Lane] = {}

    def __len__(self) -> int:
        return len(self._here)

    def add(self, waiting: Waiting) -> None:
        self._here[waiting.number] = waiting
        self._lanes.setdefault(frozenset(waiting.offers), _Lane()).add(waiting)

    def remove(self, waiting: Waiting) -> bool:
        """Takes a job out; False if it is not here."""
        return self._here.pop(waiting.number, None) is not None

    def clear(self) -> None:
        self._here.clear()
        self._lanes.clear()

    def first(self, pools: Collection[str]) -> Waiting | None:
        """The one to be served first by any of these pools."""
        found = (lane.first(self._here) for lane in self._lanes_of(pools))
        return min(
            (waiting for waiting in found if waiting is not None),
            key=lambda waiting: (_urgency(waiting), waiting.number),
            default=None,
        )

    def entitled(self, pools: Collection[str], now_s: float) -> Waiting | None:
        """The one that has waited beyond all patience for the longest."""
        found = (lane.oldest(self._here) for lane in self._lanes_of(pools))
        waiting = min(
            (waiting for waiting in found if waiting is not None), key=_entitled_s, default=None
        )
        return waiting if waiting is not None and _entitled_s(waiting) <= now_s else None

    def share(self, pool: str) -> Callable[[float], float] | None:
        """What part of a pool's work the late can have at a time; None where nobody is late.

        By the first of each lane to be entitled; it has its turn of `LATE_TURN` before it is.
        """
        oldest = [lane.oldest(self._here) for lane in self._lanes_of([pool])]
        late = [waiting for waiting in oldest if waiting is not None]
        return _share_of(late) if late else None

    def served(self, waiting: Waiting) -> None:
        """Counts a late job's work against its caller's turn."""
        self._lanes[frozenset(waiting.offers)].served(waiting)

    def _lanes_of(self, pools: Collection[str]) -> Iterator[_Lane]:
        for serving, lane in self._lanes.items():
            if not serving.isdisjoint(pools):
                yield lane


class _Lane:
    """Callers in turn by the work done for them while late (fair queueing by virtual time)."""

    def __init__(self) -> None:
        self._callers: dict[str, _Heap] = {}
        self._turns: list[tuple[float, str]] = []
        self._had_s: dict[str, float] = {}
        self._virtual_s = 0.0
        self._oldest: _Heap = []

    def add(self, waiting: Waiting) -> None:
        caller = waiting.job.turn
        if caller not in self._callers:
            self._callers[caller] = []
            self._had_s[caller] = max(self._had_s.get(caller, 0.0), self._virtual_s)
            heappush(self._turns, (self._had_s[caller], caller))
        heappush(self._callers[caller], (_urgency(waiting), waiting.number))
        heappush(self._oldest, (_entitled_s(waiting), waiting.number))

    def first(self, here: Mapping[int, Waiting]) -> Waiting | None:
        self.oldest(here)
        while self._turns:
            had_s, caller = self._turns[0]
            heap = self._callers.get(caller, [])
            while heap and heap[0][1] not in here:
                heappop(heap)
            if heap and had_s == self._had_s[caller]:
                return here[heap[0][1]]
            heappop(self._turns)
            if not heap:
                self._callers.pop(caller, None)
        self._had_s.clear()
        return None

    def oldest(self, here: Mapping[int, Waiting]) -> Waiting | None:
        """The first to be entitled; forgets those before it that are gone."""
        while self._oldest and self._oldest[0][1] not in here:
            heappop(self._oldest)
        return here[self._oldest[0][1]] if self._oldest else None

    def served(self, waiting: Waiting) -> None:
        caller = waiting.job.turn
        if caller in self._callers:
            self._virtual_s = self._had_s[caller]
            self._had_s[caller] += waiting.least_s
            heappush(self._turns, (self._had_s[caller], caller))


def late_turn(waiting: Waiting, at_s: float) -> float:
    """One of so many seconds of work is for a late job at that time, while it is the first."""
    return 1.0 / _share_of([waiting])(at_s)


def _share_of(late: Sequence[Waiting]) -> Callable[[float], float]:
    """What part of a pool's work is for them at a time; a decision asks for many times."""
    slopes = [(waiting.due_s, LATE_TURN * _patience_s(waiting)) for waiting in late]

    def share(at_s: float) -> float:
        most = 1.0 / LATE_TURN
        for due_s, whole_s in slopes:
            if (part := (at_s - due_s) / whole_s) > most:
                most = part
        return min(most, 1.0 / SHORTEST_TURN)

    return share


def _urgency(waiting: Waiting) -> float:
    return waiting.least_s + AGEING * waiting.place[0]


def _entitled_s(waiting: Waiting) -> float:
    return waiting.due_s + _patience_s(waiting)


def _patience_s(waiting: Waiting) -> float:
    """How late a job must be."""
    least_s, had_s = waiting.least_s, waiting.due_s - waiting.arrived_s
    return (PATIENCE - 1.0) * max(least_s, min(had_s, COUNTED * least_s))
