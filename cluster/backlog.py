"""Work that waits, in the order in which it is to be served, and the slack of its deadlines.

Ten thousand jobs may wait while a decision takes a fraction of a millisecond: the order is cut into
blocks, each of which knows its own work and its own tightest deadline, so that a change touches one
block and a question looks at each block once.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable

from cluster.queue import Place, Waiting

BLOCK = 64
"""A block that grows to twice this is cut in two. Of 32, 64 and 128 this one keeps admissions and
dispatches with 10,000 waiting quickest together (`python -m benchmarks.router --parts decisions`).
"""

Supply = Callable[[float], float]
"""Replica-seconds that a pool can still do until a time."""


class _Block:
    """Neighbours in the order: their places, jobs, deadlines and work, and what they add up to."""

    __slots__ = ("_rate", "_tightest", "dues", "jobs", "places", "total_s", "work")

    def __init__(
        self,
        places: list[Place],
        jobs: list[Waiting],
        dues: list[float],
        work: list[float],
    ) -> None:
        self.places, self.jobs, self.dues, self.work = places, jobs, dues, work
        self.changed()

    def changed(self) -> None:
        self.total_s = math.fsum(self.work)
        self._tightest: tuple[float, float] | None = None
        self._rate = -1

    def tightest(self, rate: int) -> tuple[float, float]:
        """(deadline, work up to it) of the job with the least `rate x deadline - work`."""
        if self._tightest is None or self._rate != rate:
            done, least, found = 0.0, math.inf, (math.inf, 0.0)
            for due, work in zip(self.dues, self.work, strict=True):
                done += work
                if rate * due - done < least:
                    least, found = rate * due - done, (due, done)
            self._tightest, self._rate = found, rate
        return self._tightest


class Backlog:
    """Jobs in order, each with a deadline and with the replica-seconds that it takes of a pool."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._ends: list[Place] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def first(self) -> Waiting | None:
        """The job to be served first."""
        return self._blocks[0].jobs[0] if self._blocks else None

    def add(self, waiting: Waiting, work_s: float) -> None:
        """Puts a job where its place says."""
        self._count += 1
        place = waiting.place
        if not self._blocks:
            self._blocks.append(_Block([place], [waiting], [waiting.due_s], [work_s]))
            self._ends.append(place)
            return
        number = min(bisect_left(self._ends, place), len(self._blocks) - 1)
        block = self._blocks[number]
        at = bisect_left(block.places, place)
        block.places.insert(at, place)
        block.jobs.insert(at, waiting)
        block.dues.insert(at, waiting.due_s)
        block.work.insert(at, work_s)
        block.changed()
        self._ends[number] = block.places[-1]
        if len(block.places) >= 2 * BLOCK:
            self._cut(number)

    def remove(self, waiting: Waiting) -> bool:
        """Takes a job out; False if it is not here."""
        found = self._find(waiting.place)
        if found is None or self._blocks[found[0]].places[found[1]] != waiting.place:
            return False
        number, at = found
        block = self._blocks[number]
        del block.places[at], block.jobs[at], block.dues[at], block.work[at]
        self._count -= 1
        if block.places:
            block.changed()
            self._ends[number] = block.places[-1]
        else:
            del self._blocks[number], self._ends[number]
        return True

    def slack_s(self, supply: Supply, rate: int) -> float:
        """Replica-seconds that could be spent on other work with every deadline still kept.

        For each job, what the pool can do until its deadline less the work up to and with it; the
        least of these, and infinite where nobody waits. Negative: some deadline is out of reach.
        That all work due by a deadline fits before it is necessary, and without pre-emption not
        sufficient (Horn 1974, for the fluid relaxation of deadline scheduling on equal machines).
        `rate` is the pool's number of replicas: within a block the job is looked at that would be
        the tightest if all of them were free.
        """
        return self._least(supply, rate, 0, 0.0)

    def slack_behind_s(self, waiting: Waiting, supply: Supply, rate: int, work_s: float) -> float:
        """The slack of a job and of all behind it, were it added with so much work."""
        done = 0.0
        at_or_behind = bisect_right(self._ends, waiting.place)
        for number in range(at_or_behind):
            done += self._blocks[number].total_s
        if at_or_behind == len(self._blocks):
            return supply(waiting.due_s) - done - work_s
        block = self._blocks[at_or_behind]
        split = bisect_right(block.places, waiting.place)
        done += math.fsum(block.work[:split]) + work_s
        least = supply(waiting.due_s) - done
        for due, work in zip(block.dues[split:], block.work[split:], strict=True):
            done += work
            least = min(least, supply(due) - done)
        return min(least, self._least(supply, rate, at_or_behind + 1, done))

    def _least(self, supply: Supply, rate: int, start: int, done: float) -> float:
        least = math.inf
        for block in self._blocks[start:] if start else self._blocks:
            due, work = block.tightest(rate)
            least = min(least, supply(due) - done - work)
            done += block.total_s
        return least

    def _find(self, place: Place) -> tuple[int, int] | None:
        number = bisect_left(self._ends, place)
        if number == len(self._blocks):
            return None
        return number, bisect_left(self._blocks[number].places, place)

    def _cut(self, number: int) -> None:
        whole = self._blocks[number]
        halves = [
            _Block(whole.places[part], whole.jobs[part], whole.dues[part], whole.work[part])
            for part in (slice(BLOCK), slice(BLOCK, None))
        ]
        self._blocks[number : number + 1] = halves
        self._ends[number : number + 1] = [half.places[-1] for half in halves]
