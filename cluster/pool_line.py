"""One pool as the scheduler sees it: its replicas, and the jobs that can still make it there."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from cluster.backlog import Backlog, Supply
from cluster.late import LateLine, late_turn
from cluster.pool import PoolConfig
from cluster.queue import Waiting
from cluster.replicas import PoolReplicas

PUT_OFF = 2.0
"""For the sake of a promise a turn of the late comes after so many times as much other work."""


class PoolLine:
    """The jobs that would make it if this pool began them now, by deadline.

    `promises` are those of them whose deadline was promised. A job that several pools may serve
    stands in the line of each, with a part of its work. `late` are those that no pool would begin
    in time; promises leave them their turns. `since_turn_s` is the other work that was begun since
    the last of these.
    """

    def __init__(self, pool: PoolConfig, late: LateLine) -> None:
        self.name = pool.name
        self.ranks = pool.num_ranks
        self.tiers = tuple(pool.tiers)
        self.replicas = PoolReplicas(pool.autoscaling.cold_start_s)
        self.hopeful = Backlog()
        self.promises = Backlog()
        self.since_turn_s = 0.0
        self._late = late
        self._here: dict[int, Waiting] = {}
        self._closing: list[tuple[float, int]] = []

    def __contains__(self, waiting: Waiting) -> bool:
        return waiting.number in self._here

    def fits(self, waiting: Waiting, now_s: float) -> bool:
        """Would it make it, were it begun here now (or when a first replica is loaded)?"""
        return self.replicas.could_begin_s(now_s) <= self._closes_s(waiting)

    def enter(self, waiting: Waiting, work_s: float) -> None:
        """Takes in a job that fits; `work_s` is its part of the pool's work."""
        self._here[waiting.number] = waiting
        self.hopeful.add(waiting, work_s)
        if waiting.promised:
            self.promises.add(waiting, work_s)
        heappush(self._closing, (self._closes_s(waiting), waiting.number))

    def leave(self, waiting: Waiting) -> None:
        if self._here.pop(waiting.number, None) is not None:
            self.hopeful.remove(waiting)
            if waiting.promised:
                self.promises.remove(waiting)

    def closed(self, now_s: float) -> Iterator[Waiting]:
        """Takes out those that can no longer make it here."""
        while self._closing and self._closing[0][0] < now_s:
            waiting = self._here.get(heappop(self._closing)[1])
            if waiting is not None:
                self.leave(waiting)
                yield waiting

    def clear(self) -> None:
        """Forgets the jobs, and keeps the replicas."""
        self.hopeful, self.promises = Backlog(), Backlog()
        self._here.clear()
        self._closing.clear()

    def candidate(self, now_s: float) -> Waiting | None:
        """Whom a free replica should serve: the earliest due, unless that would break a promise."""
        first = self.hopeful.first()
        if first is None or first.promised or not len(self.promises):
            return first
        room_s = self.promise_slack_s(now_s)
        return first if first.offers[self.name].least_s <= room_s else self.promises.first()

    def late_have_turn(self, now_s: float) -> bool:
        """Is this pool's next job one of those that are entitled, if any is?

        After enough other work it is; after up to `PUT_OFF` times as much where sooner would break
        a promise.
        """
        late = self._late.entitled([self.name], now_s)
        if late is None:
            return False
        work_s = late.offers[self.name].least_s
        others_s = (late_turn(late, now_s) - 1.0) * work_s - _ROUNDING_S
        if self.since_turn_s < others_s:
            return False
        spare_s = self.promises.slack_s(self.replicas.supply(now_s), self.replicas.count)
        return work_s <= spare_s or self.since_turn_s >= PUT_OFF * others_s

    def slack_s(self, now_s: float) -> float:
        """Replica-seconds that this pool can spare with every deadline in its line kept."""
        return self.hopeful.slack_s(self.replicas.supply(now_s), self.replicas.count)

    def promise_slack_s(self, now_s: float) -> float:
        """The same for every promise, with the turns of the late until then left to them."""
        return self.promises.slack_s(self._besides_late(now_s), self.replicas.count)

    def has_room_for(
        self, waiting: Waiting, work_s: float, now_s: float, usable_share: float
    ) -> bool:
        """Could the promises here, and this one, all be kept with that part of the pool?"""
        room_s = self.promises.slack_behind_s(
            waiting, self._besides_late(now_s, usable_share), self.replicas.count, work_s
        )
        return room_s >= -_ROUNDING_S

    def _besides_late(self, now_s: float, usable_share: float = 1.0) -> Supply:
        """A part of what the pool can do until a time, less what the late can have by then."""
        supply_s, late_share = self.replicas.supply(now_s), self._late.share(self.name)
        if late_share is None:
            return lambda until_s: usable_share * supply_s(until_s)
        return lambda until_s: usable_share * (1.0 - late_share(until_s)) * supply_s(until_s)

    def _closes_s(self, waiting: Waiting) -> float:
        return waiting.due_s - waiting.offers[self.name].least_s


_ROUNDING_S = 1e-6
