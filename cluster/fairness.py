"""Who holds how much of the line, so that one caller's thousand jobs do not shut out another's."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

MEMORY_S = 600.0
"""A caller counts as one of several for so long after its last request."""


class Standing(Enum):
    """A caller against the others."""

    ALONE = "alone"
    UNDER_ITS_SHARE = "under its share"
    OVER_ITS_SHARE = "over its share"


class Callers:
    """Work that waits, by caller."""

    def __init__(self) -> None:
        self._seen_s: OrderedDict[str, float] = OrderedDict()
        self._work_s: dict[str, float] = {}
        self._jobs: dict[str, int] = {}
        self._total_s = 0.0

    def seen(self, caller: str, now_s: float) -> None:
        self._seen_s[caller] = now_s
        self._seen_s.move_to_end(caller)
        while now_s - next(iter(self._seen_s.values())) > MEMORY_S:
            self._seen_s.popitem(last=False)

    def holds(self, caller: str, work_s: float) -> None:
        self._jobs[caller] = self._jobs.get(caller, 0) + 1
        self._work_s[caller] = self._work_s.get(caller, 0.0) + work_s
        self._total_s += work_s

    def let_go(self, caller: str, work_s: float) -> None:
        self._jobs[caller] -= 1
        self._work_s[caller] -= work_s
        self._total_s -= work_s
        if not self._jobs[caller]:
            del self._jobs[caller], self._work_s[caller]
        if not self._jobs:
            self._total_s = 0.0

    def standing(self, caller: str) -> Standing:
        """Its share is an equal part of what waits, among the callers of the last minutes."""
        callers = len(self._seen_s) + (caller not in self._seen_s)
        if callers == 1:
            return Standing.ALONE
        holds_s = self._work_s.get(caller, 0.0)
        over = holds_s > 0 and holds_s >= self._total_s / callers
        return Standing.OVER_ITS_SHARE if over else Standing.UNDER_ITS_SHARE
