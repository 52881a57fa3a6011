"""What a pool is asked to do: the work that arrives for it, and the work that waits."""

from __future__ import annotations

from collections import deque

ARRIVALS = 128
"""The rate is that of the last arrivals, as many as this."""

FIRST_S = 60.0
"""Until so many have come the rate is that of this time at least: two at once are no flood."""


class Demand:
    """Forecast work of one pool, in replica-seconds."""

    def __init__(self) -> None:
        self._arrived: deque[tuple[float, float]] = deque()
        self._arrived_s = 0.0
        self._work_s: dict[int, float] = {}
        self._waiting_s = 0.0

    def arrive(self, work_s: float, now_s: float) -> None:
        """Counts work in the rate."""
        self._arrived.append((now_s, work_s))
        self._arrived_s += work_s
        if len(self._arrived) > ARRIVALS:
            self._arrived_s -= self._arrived.popleft()[1]

    def wait(self, number: int, work_s: float) -> None:
        """The job of that number waits, with so much work for this pool."""
        self._work_s[number] = work_s
        self._waiting_s += work_s

    def go(self, number: int) -> float:
        """The job of that number waits no longer; its work."""
        work_s = self._work_s.pop(number, 0.0)
        self._waiting_s -= work_s
        if not self._work_s:
            self._waiting_s = 0.0
        return work_s

    @property
    def waiting(self) -> int:
        """Jobs that wait for this pool, alone or among others."""
        return len(self._work_s)

    @property
    def waiting_s(self) -> float:
        """Replica-seconds of the jobs that wait."""
        return self._waiting_s

    def work_per_s(self, now_s: float, without_s: float = 0.0) -> float:
        """Replica-seconds that arrive each second, not counting those of one job."""
        if not self._arrived:
            return 0.0
        span_s = now_s - self._arrived[0][0]
        if len(self._arrived) < ARRIVALS:
            span_s = max(span_s, FIRST_S)
        return max(0.0, self._arrived_s - without_s) / max(span_s, 1e-9)
