"""The simulation: time jumps from event to event, and after each the policy is asked what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from cluster.cost import Costs
from cluster.errors import DitServeError
from cluster.routing import Dispatch
from cluster.simulator.fleet import Fleet, FleetChange
from cluster.simulator.policy import Policy
from cluster.simulator.traces import Arrival


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: refused, done, or (with neither) left waiting when all was over."""

    arrival: Arrival
    refusal: DitServeError | None = None
    dispatch: Dispatch | None = None
    started_s: float = 0.0
    finished_s: float = 0.0

    @property
    def in_time(self) -> bool:
        """Done, and within the deadline if there was one."""
        deadline_s = self.arrival.job.deadline_s
        return self.dispatch is not None and (
            deadline_s is None or self.finished_s <= self.arrival.at_s + deadline_s
        )


class PolicyFault(Exception):
    """A policy asked for what no cluster can do; the message says what."""


_FINISH, _CHANGE, _ARRIVAL = range(3)
"""At one moment replicas fall free first, and requests come last."""


class Simulation:
    """A fleet under a policy, from the first arrival to the last job. It runs once.

    `truth` has the real median seconds of jobs; what the policy forecasts may differ.
    """

    def __init__(
        self, arrivals: Iterator[Arrival], fleet: Fleet, policy: Policy, truth: Costs
    ) -> None:
        self.now_s = 0.0
        self.replica_s = 0.0
        self._arrivals, self._policy, self._truth = arrivals, policy, truth
        self._tiers = {pool.name: frozenset(pool.tiers) for pool in fleet.model.pools}
        self._running: dict[str, frozenset[str]] = {pool: frozenset() for pool in self._tiers}
        self._there_since_s: dict[str, float] = {}
        self._busy: set[str] = set()
        self._waiting: dict[str, Arrival] = {}
        self._events: list[tuple[float, int, int, Arrival | FleetChange | Outcome]] = []
        self._numbers = count()
        for change in fleet.changes:
            self._expect(change.at_s, _CHANGE, change)

    def outcomes(self) -> Iterator[Outcome]:
        """Every request once, when it ends; those that nothing could serve come last.

        When all are told, `replica_s` has the seconds that replicas were there, added up, and
        `now_s` the end.

        Raises:
            PolicyFault: the policy used a replica that is busy or gone, a tier that the pool does
                not serve, or a job that does not wait.
            ValueError: an arrival is earlier than the one before it.
        """
        policy = self._policy
        self._expect_arrival()
        while self._events:
            self.now_s, _, _, event = heappop(self._events)
            if isinstance(event, Outcome):
                self._finish(event)
                yield event
            elif isinstance(event, FleetChange):
                self._change(event)
            else:
                self._expect_arrival()
                self._waiting[event.job.request_id] = event
                if refusal := policy.arrive(event.job, self.now_s):
                    del self._waiting[event.job.request_id]
                    yield Outcome(event, refusal)
            while dispatch := policy.next_dispatch(self.now_s):
                self._begin(dispatch)
        for replica in list(self._there_since_s):
            self._leave(replica)
        yield from map(Outcome, self._waiting.values())

    def _begin(self, dispatch: Dispatch) -> None:
        pool, replica, job = dispatch.pool, dispatch.replica, dispatch.waiting.job
        arrival = self._waiting.pop(job.request_id, None)
        if arrival is None:
            raise PolicyFault(f"job {job.request_id} does not wait")
        if replica not in self._running[pool] or replica in self._busy:
            raise PolicyFault(f"replica {replica} of {pool} is busy or gone")
        if dispatch.tier not in self._tiers[pool]:
            raise PolicyFault(f"pool {pool} does not serve {dispatch.tier}")
        self._busy.add(replica)
        median_s = self._truth.forecast(job, pool, dispatch.tier).p50_s
        finished_s = self.now_s + median_s * arrival.slowness
        outcome = Outcome(arrival, None, dispatch, self.now_s, finished_s)
        self._expect(finished_s, _FINISH, outcome)

    def _finish(self, outcome: Outcome) -> None:
        dispatch = outcome.dispatch
        assert dispatch is not None
        self._busy.discard(dispatch.replica)
        if dispatch.replica not in self._running[dispatch.pool]:
            self._leave(dispatch.replica)
        self._policy.finished(dispatch, self.now_s)

    def _change(self, change: FleetChange) -> None:
        before, after = self._running[change.pool], frozenset(change.running)
        self._running[change.pool] = after
        for replica in after - before:
            self._there_since_s[replica] = self.now_s
        for replica in before - after - self._busy:
            self._leave(replica)
        self._policy.replicas_changed(change.pool, change.running, self.now_s)

    def _leave(self, replica: str) -> None:
        self.replica_s += self.now_s - self._there_since_s.pop(replica)

    def _expect_arrival(self) -> None:
        arrival = next(self._arrivals, None)
        if arrival is None:
            return
        if arrival.at_s < self.now_s:
            raise ValueError(f"request {arrival.job.request_id} comes before the one before it")
        self._expect(arrival.at_s, _ARRIVAL, arrival)

    def _expect(self, at_s: float, order: int, event: Arrival | FleetChange | Outcome) -> None:
        heappush(self._events, (at_s, order, next(self._numbers), event))
