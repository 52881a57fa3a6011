"""The signs of life of one job, and the end of a process that gives none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType


class Pulse:
    """Watches a job between `with` and its end; also the way to stop it at a step boundary.

    `hung(reason)` is called, from a thread of its own, when nothing has moved for `limit_s`
    seconds.
    """

    def __init__(self, limit_s: float, hung: Callable[[str], None]) -> None:
        self._limit_s = limit_s
        self._hung = hung
        self._stop = threading.Event()
        self._over = threading.Event()
        self._done = 0
        self._moved_s = 0.0
        self.longest_s = 0.0

    def __enter__(self) -> Pulse:
        self._moved_s = time.monotonic()
        threading.Thread(target=self._watch, name="pulse", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._move()

    def stop(self) -> None:
        """Has `boundary` say no from now on."""
        self._stop.set()

    def boundary(self, done: int, total: int) -> bool:
        """A `StepBoundary`: notes the progress, and says whether to go on."""
        if done != self._done:
            self._done = done
            self._move()
        return not self._stop.is_set()

    def _move(self) -> None:
        now_s = time.monotonic()
        self.longest_s = max(self.longest_s, now_s - self._moved_s)
        self._moved_s = now_s

    def _watch(self) -> None:
        while not self._over.wait(self._moved_s + self._limit_s - time.monotonic()):
            silent_s = time.monotonic() - self._moved_s
            if silent_s >= self._limit_s:
                self._hung(f"no step for {silent_s:.1f} s, {self._limit_s:.1f} s are allowed")
                return
