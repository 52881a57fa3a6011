"""Policies with a line in front of each replica: a job is bound to one, and to a tier, at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from itertools import count
from random import Random

from cluster.config import ModelConfig
from cluster.cost import Costs
from cluster.errors import DitServeError
from cluster.job import Job
from cluster.queue import Waiting
from cluster.routing import Dispatch
from cluster.simulator.menus import Menus
from cluster.simulator.tier_rules import Choice, Outlook, TierRule


class Station:
    """A replica and its line, first come, first served."""

    def __init__(self, pool: str, replica: str) -> None:
        self.pool = pool
        self.replica = replica
        self.line: deque[tuple[Waiting, Choice]] = deque()
        self.busy = False
        self.queued_s = 0.0
        self.busy_until_s = 0.0

    @property
    def ongoing(self) -> int:
        """Jobs that wait here or run."""
        return len(self.line) + self.busy

    def work_left_s(self, now_s: float) -> float:
        """Forecast seconds until a job that joins now would begin."""
        return self.queued_s + (max(0.0, self.busy_until_s - now_s) if self.busy else 0.0)

    def join(self, waiting: Waiting, choice: Choice) -> None:
        self.line.append((waiting, choice))
        self.queued_s += choice.forecast.p50_s

    def begin(self, now_s: float) -> Dispatch:
        """Takes the first of the line."""
        waiting, (tier, forecast) = self.line.popleft()
        self.queued_s = self.queued_s - forecast.p50_s if self.line else 0.0
        self.busy = True
        self.busy_until_s = now_s + forecast.p50_s
        return Dispatch(
            waiting=waiting,
            pool=self.pool,
            replica=self.replica,
            tier=tier,
            forecast=forecast,
            reason="first in the replica's line",
        )


Join = Callable[[Sequence[Station], float], Station]
"""Which of these stations a job joins now; there is at least one."""


class JoinedLines:
    """A line per replica. Nobody is refused; who waits for a replica that ends joins another."""

    def __init__(self, model: ModelConfig, costs: Costs, rule: TierRule, join: Join) -> None:
        self._menus = Menus(model, costs)
        self._rule = rule
        self._join = join
        self._stations: dict[str, dict[str, Station]] = {pool.name: {} for pool in model.pools}
        self._joinable: dict[frozenset[str], list[Station]] = {}
        self._ready: deque[Station] = deque()
        self._without_station: list[Waiting] = []

    def replicas_changed(self, pool: str, running: Collection[str], now_s: float) -> None:
        before, after = self._stations[pool], frozenset(running)
        self._stations[pool] = {
            replica: before.get(replica) or Station(pool, replica) for replica in running
        }
        self._joinable.clear()
        moving = self._without_station
        self._without_station = []
        for replica, station in before.items():
            if replica not in after:
                moving += [waiting for waiting, _ in station.line]
                station.line.clear()
        for waiting in sorted(moving, key=lambda each: each.number):
            self._place(waiting, now_s)

    def arrive(self, job: Job, now_s: float) -> DitServeError | None:
        self._place(self._menus.waiting(job, now_s), now_s)
        return None

    def next_dispatch(self, now_s: float) -> Dispatch | None:
        while self._ready:
            station = self._ready.popleft()
            if station.line:
                return station.begin(now_s)
        return None

    def finished(self, dispatch: Dispatch, now_s: float) -> None:
        station = self._stations[dispatch.pool].get(dispatch.replica)
        if station is not None:
            station.busy = False
            self._ready.append(station)

    def _place(self, waiting: Waiting, now_s: float) -> None:
        stations = self._stations_for(frozenset(waiting.offers))
        if not stations:
            self._without_station.append(waiting)
            return
        station = self._join(stations, now_s)
        choices = self._menus.choices(waiting, station.pool)
        left_s = waiting.due_s - now_s - station.work_left_s(now_s)
        station.join(waiting, self._rule(choices, Outlook(left_s, len(station.line))))
        if station.ongoing == 1:
            self._ready.append(station)

    def _stations_for(self, pools: frozenset[str]) -> Sequence[Station]:
        if pools not in self._joinable:
            self._joinable[pools] = [
                station for pool in sorted(pools) for station in self._stations[pool].values()
            ]
        return self._joinable[pools]


def at_random(random: Random) -> Join:
    """Any."""
    return lambda stations, now_s: random.choice(stations)


def round_robin(random: Random) -> Join:
    """One after the other."""
    turns = count()
    return lambda stations, now_s: stations[next(turns) % len(stations)]


def power_of_two(random: Random) -> Join:
    """Of two at random the one with fewer ongoing jobs, as Ray Serve does by default."""

    def join(stations: Sequence[Station], now_s: float) -> Station:
        if len(stations) == 1:
            return stations[0]
        one, other = random.sample(stations, 2)
        return other if other.ongoing < one.ongoing else one

    return join


def least_work(random: Random) -> Join:
    """The one with the least forecast work before it; the first of equals."""
    return lambda stations, now_s: min(stations, key=lambda each: each.work_left_s(now_s))
