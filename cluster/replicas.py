"""The replicas of a pool: which are free, and how much the pool can do until a time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection
from itertools import accumulate

from cluster.backlog import Supply

OVERDUE_S = 0.1
"""What a job that should be done by now is taken to need still."""


class PoolReplicas:
    """Who runs and until when each busy one is expected to be busy; no clock of its own.

    A pool with no replica counts as one that is free after the time to load it: a job that waits
    for it makes Serve start one.
    """

    def __init__(self, load_s: float) -> None:
        self.load_s = load_s
        self._free: dict[str, None] = {}
        self._busy: dict[str, float] = {}
        self._away: dict[str, float] = {}
        self._ends: list[float] = []
        self._sums: list[float] | None = None
        self._running: frozenset[str] = frozenset()
        self._woken_s: float | None = None

    @property
    def running(self) -> frozenset[str]:
        return self._running

    @property
    def count(self) -> int:
        """Replicas to count on: those that run, or the one that would be started."""
        return len(self._running) or 1

    @property
    def free(self) -> bool:
        return bool(self._free)

    @property
    def busy(self) -> Collection[str]:
        return self._busy.keys()

    @property
    def idle(self) -> int:
        """Replicas that run and have nothing to do."""
        return len(self._free)

    @property
    def last_free(self) -> str | None:
        """The replica that has been free the shortest, which is taken last."""
        return next(reversed(self._free), None)

    def wake(self, now_s: float) -> None:
        """A job waits for this pool: if none runs, one is being started from now on."""
        if not self._running and self._woken_s is None:
            self._woken_s = now_s

    def rest(self) -> None:
        """Nobody waits any more: none is being started."""
        self._woken_s = None

    def changed(self, running: Collection[str]) -> None:
        """Sets who runs. New ones are free; one that was away comes back to the job that it has."""
        before, self._running = self._running, frozenset(running)
        if self._running:
            self._woken_s = None
        for gone in before - self._running:
            self._free.pop(gone, None)
            end_s = self._forget(gone)
            if end_s is not None:
                self._away[gone] = end_s
        for new in sorted(self._running - before):
            if new in self._away:
                self._work(new, self._away.pop(new))
            else:
                self._free[new] = None

    def free_besides(self, avoided: Collection[str]) -> bool:
        """Whether one is free that is not to be avoided."""
        return any(replica not in avoided for replica in self._free)

    def take(self, until_s: float, avoided: Collection[str] = ()) -> str:
        """The replica that has been free the longest, busy from now on until about then.

        One of those to be avoided is taken only where no other is free.
        """
        free = iter(self._free)
        replica = next((each for each in free if each not in avoided), next(iter(self._free)))
        del self._free[replica]
        self._work(replica, until_s)
        return replica

    def release(self, replica: str) -> None:
        """That replica has nothing to do again, if it still runs."""
        self._away.pop(replica, None)
        if self._forget(replica) is not None:
            self._free[replica] = None

    def first_free_s(self, now_s: float) -> float:
        """When a replica is expected to be free."""
        if self._free:
            return now_s
        if self._ends:
            return max(now_s, self._ends[0])
        return self._loaded_s(now_s)

    def could_begin_s(self, now_s: float) -> float:
        """When a job could begin here were all replicas free: now, or once one is loaded."""
        return now_s if self._running else self._loaded_s(now_s)

    def supply_s(self, until_s: float, now_s: float) -> float:
        """Replica-seconds from now until then that are not taken by what runs."""
        return self.supply(now_s)(until_s)

    def supply(self, now_s: float) -> Supply:
        """The same for any time; a decision asks for many."""
        if not self._running:
            loaded_s = self._loaded_s(now_s)
            return lambda until_s: max(0.0, until_s - loaded_s)
        if self._sums is None:
            self._sums = list(accumulate(self._ends, initial=0.0))
        ends, sums = self._ends, self._sums
        overdue = bisect_right(ends, now_s)
        free, ended_s = len(self._free) + overdue, sums[overdue]

        def supply_s(until_s: float) -> float:
            if until_s <= now_s:
                return 0.0
            ending = bisect_left(ends, until_s, overdue)
            freed_s = (ending - overdue) * until_s - (sums[ending] - ended_s)
            return free * (until_s - now_s) + freed_s

        return supply_s

    def work_left_s(self, now_s: float) -> float:
        """Replica-seconds that the busy ones should take still; never 0 while one works."""
        return sum(max(OVERDUE_S, end - now_s) for end in self._ends)

    def _loaded_s(self, now_s: float) -> float:
        since_s = now_s if self._woken_s is None else self._woken_s
        return max(now_s, since_s + self.load_s)

    def _work(self, replica: str, until_s: float) -> None:
        self._busy[replica] = until_s
        insort(self._ends, until_s)
        self._sums = None

    def _forget(self, replica: str) -> float | None:
        """Takes out a busy one; until when it was expected to be busy."""
        end_s = self._busy.pop(replica, None)
        if end_s is not None:
            del self._ends[bisect_left(self._ends, end_s)]
            self._sums = None
        return end_s
