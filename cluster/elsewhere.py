"""Jobs whose output was corrupt: each waits for a replica that has not made it yet. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cluster.pool_line import PoolLine
from cluster.queue import Waiting


class ElsewhereLine:
    """They stand in no pool's line, and go before all others: they have had their turn already."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def takes(self, waiting: Waiting, lines: Iterable[PoolLine]) -> bool:
        """Takes a job in, if it avoids some replicas and others of its pools run."""
        if not waiting.avoids or not any(line.replicas.running - waiting.avoids for line in lines):
            return False
        self._waiting[waiting.number] = waiting
        return True

    def next(self, lines: Mapping[str, PoolLine]) -> tuple[Waiting, list[PoolLine]] | None:
        """The first that one of the pools can begin elsewhere now, and those pools."""
        for waiting in sorted(self._waiting.values(), key=lambda each: each.place):
            offering = [lines[name] for name in waiting.offers]
            if free := [line for line in offering if line.replicas.free_besides(waiting.avoids)]:
                return waiting, free
        return None

    def leave(self, waiting: Waiting) -> None:
        self._waiting.pop(waiting.number, None)

    def clear(self) -> None:
        self._waiting.clear()
