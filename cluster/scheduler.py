"""The policy of one model: order, admission, tier and pool. The router and the simulator run it.

Told what happens and when, asked what to do next; it holds no clock and has no effects. The order
is earliest deadline first among the jobs that can still make it; the others come last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cluster.admission import can_promise, out_of_reach
from cluster.autoscaling import PoolDemand
from cluster.config import ModelConfig
from cluster.cost import Costs, Forecast
from cluster.demand import Demand
from cluster.elsewhere import ElsewhereLine
from cluster.errors import DitServeError, QueueFull
from cluster.fairness import Callers, Standing
from cluster.job import Job
from cluster.late import LateLine
from cluster.pool_line import PoolLine
from cluster.pool_load import ModelLoad, PoolLoad
from cluster.pressure import Pressure
from cluster.pricing import Pricing
from cluster.queue import Waiting
from cluster.routing import Dispatch, Option, choose
from cluster.tiers import Tier

NEWCOMERS_ROOM = 0.1
"""Part of the line and of the promises that a caller over its share leaves to the others."""


class Scheduler:
    """The line of a model and its pools. `now_s` is any clock that does not go back."""

    def __init__(self, model: ModelConfig, costs: Costs) -> None:
        self._model = model
        self._costs = costs
        self._late = LateLine()
        self._lines = {pool.name: PoolLine(pool, self._late) for pool in model.pools}
        self._pricing = Pricing(model, costs, self._lines)
        self._demands = {pool.name: Demand() for pool in model.pools}
        self._elsewhere = ElsewhereLine()
        self._waiting: dict[str, Waiting] = {}
        self._callers = Callers()
        self._pressures = {pool.name: Pressure() for pool in model.pools}
        self._arrivals = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def waiting(self, request_id: str) -> Waiting | None:
        """The job of that id, if it waits."""
        return self._waiting.get(request_id)

    def replicas_changed(self, pool: str, running: Collection[str], now_s: float) -> None:
        """Sets which replicas of a pool run."""
        replicas = self._lines[pool].replicas
        before = len(replicas.running)
        replicas.changed(running)
        changed = len(replicas.running) != before
        if self._elsewhere or (changed and (len(self._lines) > 1 or 0 in (before, len(running)))):
            self._line_up_again(now_s)

    def loads_in(self, pool: str, seconds: float) -> None:
        """Sets how long a replica of a pool takes to load."""
        self._lines[pool].replicas.load_s = seconds

    def arrive(self, job: Job, now_s: float) -> DitServeError | None:
        """Takes a job into the line; or says why not."""
        waiting = self._pricing.priced(job, now_s, self._arrivals + 1)
        self._close(now_s)
        self._callers.seen(job.turn, now_s)
        usual_s = self._usual_parts_s(waiting)
        for name, work_s in usual_s.items():
            self._demands[name].arrive(work_s, now_s)
        if refusal := self._refusal(waiting, now_s):
            return refusal
        self._arrivals += 1
        self._wait(waiting, usual_s, now_s)
        return None

    def put_back(self, waiting: Waiting, now_s: float) -> None:
        """Returns a job that could not be done to the place that it had."""
        self._wait(waiting, self._usual_parts_s(waiting), now_s)

    def leave(self, request_id: str) -> Waiting | None:
        """Takes a job out, wherever it stands; None if it does not wait."""
        waiting = self._waiting.get(request_id)
        if waiting is not None:
            self._take(waiting)
        if not self._waiting:
            for line in self._lines.values():
                line.replicas.rest()
        return waiting

    def next_dispatch(self, now_s: float) -> Dispatch | None:
        """Sends a job to a free replica, which is busy from then on; None when all must wait."""
        free = [line for line in self._lines.values() if line.replicas.free]
        if not free or not self._waiting:
            return None
        self._close(now_s)
        if again := self._elsewhere.next(self._lines):
            return self._send(*again, now_s)
        turn = [line for line in free if line.late_have_turn(now_s)]
        if old := self._late.entitled([line.name for line in turn], now_s):
            sent = self._send_late(old, turn, "its turn after a long wait", now_s)
            self._lines[sent.pool].since_turn_s = 0.0
            return sent
        candidates = [(waiting, line) for line in free if (waiting := line.candidate(now_s))]
        if candidates:
            first = min((waiting for waiting, _ in candidates), key=lambda each: each.place)
            lines = [line for waiting, line in candidates if waiting is first]
            return self._send(first, lines, now_s)
        if late := self._late.first([line.name for line in free]):
            return self._send_late(late, free, "late already; the shortest work", now_s)
        return None

    def finished(self, dispatch: Dispatch, now_s: float) -> None:
        """That replica has nothing to do any more."""
        self._lines[dispatch.pool].replicas.release(dispatch.replica)

    def idle_replica(self, pool: str) -> str | None:
        """The replica of a pool that has nothing to do and would be the last to get a job."""
        return self._lines[pool].replicas.last_free

    def load(self, now_s: float) -> ModelLoad:
        """How busy the model is."""
        pools = {pool.name: self.pool_load(pool.name, now_s) for pool in self._model.pools}
        return ModelLoad(len(self), pools)

    def pool_load(self, pool: str, now_s: float) -> PoolLoad:
        """What a pool does and has to do."""
        replicas = self._lines[pool].replicas
        work_s = self._demands[pool].waiting_s + replicas.work_left_s(now_s)
        return PoolLoad(replicas.idle, len(replicas.busy), work_s / replicas.count)

    def demand(self, pool: str, now_s: float, told_s: float) -> PoolDemand:
        """What is asked of a pool, for its autoscaling; said at `told_s` of the wall clock."""
        demand, replicas = self._demands[pool], self._lines[pool].replicas
        return PoolDemand(
            work_per_s=demand.work_per_s(now_s),
            backlog_s=demand.waiting_s + replicas.work_left_s(now_s),
            waiting=demand.waiting,
            load_s=replicas.load_s,
            told_s=told_s,
        )

    def _usual_parts_s(self, waiting: Waiting) -> dict[str, float]:
        """Replica-seconds for each pool, in the default tier where the router may choose."""
        level = self._model.default_tier
        return self._pricing.parts_s(self._pricing.at_level(waiting.job, waiting.offers, level))

    def _wait(self, waiting: Waiting, usual_s: Mapping[str, float], now_s: float) -> None:
        self._waiting[waiting.job.request_id] = waiting
        self._callers.holds(waiting.job.turn, waiting.least_s)
        for name, work_s in usual_s.items():
            self._demands[name].wait(waiting.number, work_s)
        self._line_up(waiting, now_s)

    def _send(self, waiting: Waiting, lines: list[PoolLine], now_s: float) -> Dispatch:
        own_s = self._take(waiting)
        options = [
            Option(line.name, line.ranks, tier, forecast, spare_s, level)
            for line in lines
            for spare_s, level in [(line.slack_s(now_s), self._level(line, own_s, now_s))]
            for tier in waiting.offers[line.name].tiers
            for forecast in [self._costs.forecast(waiting.job, line.name, tier)]
        ]
        option, reason = choose(options, waiting.due_s - now_s)
        self._pressures[option.pool].served(waiting.due_s - waiting.arrived_s)
        self._lines[option.pool].since_turn_s += option.forecast.p50_s
        return self._dispatch(waiting, option.pool, option.tier, option.forecast, reason, now_s)

    def _level(self, line: PoolLine, own_s: Mapping[str, float], now_s: float) -> Tier:
        """The best tier that a pool's backlog allows to a job with that part of its work."""
        demand, count, part_s = self._demands[line.name], line.replicas.count, own_s[line.name]
        load = demand.work_per_s(now_s, without_s=part_s) / count
        return self._pressures[line.name].level(demand.waiting_s / count, part_s, load)

    def _send_late(
        self, waiting: Waiting, free: list[PoolLine], reason: str, now_s: float
    ) -> Dispatch:
        self._take(waiting)
        self._late.served(waiting)
        forecasts = [
            (self._costs.forecast(waiting.job, line.name, tier), line.name, tier)
            for line in free
            if line.name in waiting.offers
            for tier in waiting.offers[line.name].tiers
        ]
        forecast, pool, tier = min(forecasts, key=lambda each: (each[0].p50_s, each[1]))
        return self._dispatch(waiting, pool, tier, forecast, f"{tier}: {reason}", now_s)

    def _dispatch(
        self,
        waiting: Waiting,
        pool: str,
        tier: Tier,
        forecast: Forecast,
        reason: str,
        now_s: float,
    ) -> Dispatch:
        replica = self._lines[pool].replicas.take(now_s + forecast.p50_s, waiting.avoids)
        return Dispatch(waiting, pool, replica, tier, forecast, reason)

    def _take(self, waiting: Waiting) -> dict[str, float]:
        """Takes a job out; the work that it was for each pool."""
        del self._waiting[waiting.job.request_id]
        self._callers.let_go(waiting.job.turn, waiting.least_s)
        self._elsewhere.leave(waiting)
        if not self._late.remove(waiting):
            for line in self._lines.values():
                line.leave(waiting)
        return {name: self._demands[name].go(waiting.number) for name in waiting.offers}

    def _close(self, now_s: float) -> None:
        """Those that can no longer make it anywhere come last from now on."""
        for line in self._lines.values():
            for waiting in line.closed(now_s):
                if not any(waiting in other for other in self._lines.values()):
                    self._late.add(waiting)

    def _line_up(self, waiting: Waiting, now_s: float) -> None:
        """Gives a job its place with each pool on which it can make it, or among the late."""
        if self._elsewhere.takes(waiting, self._counted(waiting).values()):
            return
        parts_s = self._pricing.parts_s(waiting.least_by_pool_s)
        fits = False
        for name, line in self._counted(waiting).items():
            line.replicas.wake(now_s)
            if line.fits(waiting, now_s):
                line.enter(waiting, parts_s[name])
                fits = True
        if not fits:
            self._late.add(waiting)

    def _line_up_again(self, now_s: float) -> None:
        """After a change of what the pools can do."""
        for line in self._lines.values():
            line.clear()
        self._late.clear()
        self._elsewhere.clear()
        for waiting in self._waiting.values():
            self._line_up(waiting, now_s)

    def _refusal(self, waiting: Waiting, now_s: float) -> DitServeError | None:
        """Why a job may not come in; None if it may, as one that had come in and is sent again."""
        if waiting.job.attempt > 1:
            return None
        lines = self._counted(waiting)
        if not any(line.replicas.free for line in lines.values()) and (
            full := self._full(waiting, lines, now_s)
        ):
            return full
        if not waiting.promised or not waiting.measured:
            return None
        parts_s = self._pricing.parts_s(waiting.least_by_pool_s)
        usable = self._pricing.sure_share(waiting, now_s)
        if self._callers.standing(waiting.job.turn) is Standing.OVER_ITS_SHARE:
            usable *= 1.0 - NEWCOMERS_ROOM
        if can_promise(waiting, lines, parts_s, now_s, usable):
            return None
        return out_of_reach(waiting, lines, parts_s, now_s, usable)

    def _counted(self, waiting: Waiting) -> dict[str, PoolLine]:
        """The pools that may serve a job."""
        return {name: self._lines[name] for name in self._pricing.counted(waiting.offers)}

    def _full(
        self, waiting: Waiting, lines: Mapping[str, PoolLine], now_s: float
    ) -> QueueFull | None:
        """Refuses what would wait in a full line; callers under their share have a little more."""
        model, under = self._model, Standing.UNDER_ITS_SHARE
        more = self._callers.standing(waiting.job.turn) is under
        room = 1.0 + NEWCOMERS_ROOM if more else 1.0
        if len(self._waiting) >= model.max_queued * room:
            first_s = min(line.replicas.first_free_s(now_s) for line in lines.values())
            return QueueFull(
                f"{model.name} has {len(self._waiting)} requests waiting, and "
                f"{model.max_queued} is its limit; try again later",
                retry_after_s=max(1.0, first_s - now_s),
            )
        backlog_s = min(self.pool_load(name, now_s).backlog_s for name in lines)
        if waiting.measured and self._waiting and backlog_s > model.max_backlog_s * room:
            return QueueFull(
                f"{model.name} has work for {backlog_s:.0f} s waiting, and "
                f"{model.max_backlog_s:g} s is its limit; try again later",
                retry_after_s=max(1.0, backlog_s - model.max_backlog_s),
            )
        return None
