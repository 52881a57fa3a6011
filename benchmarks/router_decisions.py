"""How long the scheduler takes to decide while thousands wait; pure Python, no Ray, no waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from heapq import heappop, heappush
from random import Random
from typing import Any, NamedTuple

from benchmarks.router_sheet import Sheet
from cluster.config import ModelConfig
from cluster.job import Job
from cluster.routing import Dispatch
from cluster.scheduler import Scheduler
from cluster.simulator.fleet import ENDLESS_LINE, Fleet, fleet_of
from cluster.simulator.mixes import TIER_WORK, mean_none_s
from cluster.simulator.results import percentile
from cluster.simulator.table_costs import TableCosts
from cluster.simulator.trace_names import parse_trace_name
from cluster.simulator.traces import Arrival
from cluster.tiers import Tier

REPLICAS = 64
WAITING = 10_000
JOBS = 10_000
P99_BAR_MS = 0.5
"""Wanted of the 99th percentile of each decision, in time of the processor: on a busy machine the
clock also counts the others' turns."""

CALLERS = 20
TRACE = "poisson:C:tier=auto,callers=" + "/".join(["1"] * CALLERS)
DEADLINES = (0.05, 2.0)
"""From and to, drawn evenly: times what the replicas need for the whole line in `ultra`."""

REFUSALS = 1_000
HOPELESS_S = 0.5
"""A deadline that no kind of job can make, even in `ultra`."""

EFFICIENCY = 0.85
_RANKS: dict[str, Any] = {"parallelism_config": {"ulysses_size": "auto"}}
POOLS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "one pool": ({"name": "all"},),
    "four pools": (
        {"name": "all"},
        {"name": "quick", "tiers": ["fast", "ultra"]},
        {"name": "best", "tiers": ["none", "slow"], **_RANKS, "num_ranks": 2},
        {"name": "large", **_RANKS, "num_ranks": 4},
    ),
}
"""Each pool has an equal part of the replicas."""

DECISIONS = ("an admission", "a refusal", "a dispatch")
"""`Scheduler.arrive` by its answer, and `Scheduler.next_dispatch` where it sends a job."""


TIMES = ("p50_ms", "p99_ms", "most_ms", "processor_p50_ms", "processor_p99_ms")


class Took(NamedTuple):
    """Nanoseconds by the clock, and of the processor in this thread."""

    clock_ns: int
    processor_ns: int


def measure() -> dict[str, Any]:
    """Every shape of pools, one after the other."""
    found = {}
    for shape, pools in POOLS.items():
        line = LongLine(_fleet(pools))
        began_s = time.perf_counter()
        for _ in range(JOBS):
            line.one_job()
        seconds = time.perf_counter() - began_s
        for _ in range(REFUSALS):
            line.one_refusal()
        decisions = {name: _milliseconds(took) for name, took in line.took.items() if took}
        found[shape] = {"decisions": decisions, "jobs_per_s": JOBS / seconds}
    settings = {"waiting": WAITING, "replicas": REPLICAS, "bar_p99_ms": P99_BAR_MS}
    return settings | {"shapes": found}


def sheets(found: Mapping[str, Any]) -> list[Sheet]:
    """A row for each shape and decision."""
    bar_ms = found["bar_p99_ms"]
    rows = [
        (
            shape,
            decision,
            f"{took['count']:,}",
            *(f"{took[key]:.3f}" for key in TIMES),
            "yes" if took["processor_p99_ms"] <= bar_ms else "no",
            f"{of_shape['jobs_per_s']:,.0f}",
        )
        for shape, of_shape in found["shapes"].items()
        for decision, took in of_shape["decisions"].items()
    ]
    headings = (
        "pools",
        "decision",
        "times",
        "p50, ms",
        "p99, ms",
        "most, ms",
        "processor p50, ms",
        "processor p99, ms",
        "bar met",
        "jobs/s",
    )
    caption = (
        f"{found['waiting']:,} requests wait, half of them promises; {found['replicas']} replicas, "
        f"five tiers, {CALLERS} callers. The bar is {bar_ms} ms for the 99th percentile of "
        "processor time; the clock counts other processes' turns too. Jobs/s, by the clock: "
        "arrival, dispatch and end of a job, through one scheduler."
    )
    return [Sheet("Decisions", headings, rows, caption)]


class LongLine:
    """A scheduler whose line stays as long as it is, and how long its decisions took."""

    def __init__(self, fleet: Fleet, waiting: int = WAITING) -> None:
        trace = parse_trace_name(TRACE)
        costs = TableCosts(trace.kinds, fleet.speeds)
        self.took: dict[str, list[Took]] = {decision: [] for decision in DECISIONS}
        self._waiting = waiting
        self._costs = costs
        self._scheduler = Scheduler(fleet.model, costs)
        self._now_s = 0.0
        self._ends: list[tuple[float, str, Dispatch]] = []
        whole_s = waiting * mean_none_s(trace.kinds) * TIER_WORK[Tier.ULTRA] / fleet.capacity
        self._arrivals = _with_deadlines(trace.trace(ENDLESS_LINE, 1.0).arrivals(0), whole_s)
        for change in fleet.changes:
            self._scheduler.replicas_changed(change.pool, change.running, change.at_s)
        self._fill(0.0)
        self._dispatch(0.0)
        self._fill(0.0)
        for took in self.took.values():
            took.clear()

    def one_job(self) -> None:
        """The next job ends, another begins, and one more arrives."""
        now_s, _, ended = heappop(self._ends)
        self._scheduler.finished(ended, now_s)
        self._dispatch(now_s)
        self._fill(now_s)

    def one_refusal(self) -> None:
        """A request comes that cannot be promised anything."""
        self._arrive(replace(next(self._arrivals).job, deadline_s=HOPELESS_S, late="refuse"))

    def _dispatch(self, now_s: float) -> None:
        while True:
            began = _now()
            dispatch = self._scheduler.next_dispatch(now_s)
            took = _since(began)
            if dispatch is None:
                return
            self.took["a dispatch"].append(took)
            ends_s = now_s + dispatch.forecast.p50_s
            heappush(self._ends, (ends_s, dispatch.replica, dispatch))

    def _fill(self, now_s: float) -> None:
        self._now_s = now_s
        while len(self._scheduler) < self._waiting:
            self._arrive(next(self._arrivals).job)

    def _arrive(self, job: Job) -> None:
        began = _now()
        refusal = self._scheduler.arrive(job, self._now_s)
        took = _since(began)
        self.took["an admission" if refusal is None else "a refusal"].append(took)


def _with_deadlines(arrivals: Iterator[Arrival], whole_s: float) -> Iterator[Arrival]:
    """Deadlines so far apart that most of a long line can make them; every other a promise."""
    random = Random("deadlines")
    for number, arrival in enumerate(arrivals):
        deadline_s = whole_s * random.uniform(*DEADLINES)
        job = replace(arrival.job, deadline_s=deadline_s)
        yield replace(arrival, job=replace(job, late="refuse") if number % 2 else job)


def _fleet(pools: tuple[dict[str, Any], ...]) -> Fleet:
    model = ModelConfig.model_validate(
        {
            "name": "simulated",
            "source": "none",
            "max_queued": ENDLESS_LINE,
            "max_backlog_s": ENDLESS_LINE,
            "pools": pools,
        }
    )
    return fleet_of(model, EFFICIENCY, REPLICAS // len(pools))


def _now() -> Took:
    return Took(time.perf_counter_ns(), time.thread_time_ns())


def _since(began: Took) -> Took:
    clock_ns, processor_ns = _now()
    return Took(clock_ns - began.clock_ns, processor_ns - began.processor_ns)


def _milliseconds(took: list[Took]) -> dict[str, Any]:
    clock = sorted(each.clock_ns / 1e6 for each in took)
    processor = sorted(each.processor_ns / 1e6 for each in took)
    numbers = (
        percentile(clock, 0.5),
        percentile(clock, 0.99),
        clock[-1],
        percentile(processor, 0.5),
        percentile(processor, 0.99),
    )
    return {"count": len(took)} | dict(zip(TIMES, numbers, strict=True))
