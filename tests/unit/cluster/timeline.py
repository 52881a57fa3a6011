"""A scheduler with replicas that take exactly as long as forecast: who begins and ends when."""

from __future__ import annotations

from heapq import heappop, heappush

from cluster.config import ModelConfig
from cluster.cost import Costs
from cluster.errors import DitServeError
from cluster.job import Job
from cluster.routing import Dispatch
from cluster.scheduler import Scheduler


class Timeline:
    """Dispatches whatever can go, after each event; events come in the order of time."""

    def __init__(self, model: ModelConfig, costs: Costs, replicas: dict[str, int]) -> None:
        self.scheduler = Scheduler(model, costs)
        self.now_s = 0.0
        self.begun: list[tuple[float, Dispatch]] = []
        self._ends: list[tuple[float, int, Dispatch]] = []
        for pool, count in replicas.items():
            self.run_replicas(pool, *(f"{pool}-{number}" for number in range(count)))

    def run_replicas(self, pool: str, *replicas: str) -> None:
        """From now on these replicas of the pool run."""
        self.scheduler.replicas_changed(pool, replicas, self.now_s)
        self._dispatch()

    def arrive(self, job: Job) -> DitServeError | None:
        refusal = self.scheduler.arrive(job, self.now_s)
        self._dispatch()
        return refusal

    def go_on(self, until_s: float) -> None:
        """Lets jobs end until then."""
        while self._ends and self._ends[0][0] <= until_s:
            self.now_s, _, dispatch = heappop(self._ends)
            self.scheduler.finished(dispatch, self.now_s)
            self._dispatch()
        self.now_s = until_s

    def order(self) -> list[str]:
        """Ids in the order in which they were begun."""
        return [dispatch.waiting.job.request_id for _, dispatch in self.begun]

    def begin_s(self, request_id: str) -> float:
        """When a job was begun; raises StopIteration if it was not."""
        return next(at for at, each in self.begun if each.waiting.job.request_id == request_id)

    def _dispatch(self) -> None:
        while dispatch := self.scheduler.next_dispatch(self.now_s):
            end_s = self.now_s + dispatch.forecast.p50_s
            self.begun.append((self.now_s, dispatch))
            heappush(self._ends, (end_s, len(self.begun), dispatch))
