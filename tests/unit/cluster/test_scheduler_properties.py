"""What the scheduler holds whatever comes: arrivals, ends, deaths and departures in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.config import ModelConfig
from cluster.job import Job
from cluster.queue import Waiting
from cluster.routing import Dispatch
from cluster.scheduler import Scheduler
from cluster.tiers import AUTO, Tier
from tests.unit.cluster.jobs import job
from tests.unit.cluster.pools import MEDIUM, TableCosts, model_of, pool

Event = tuple[Any, ...]

tier_sets = st.lists(st.sampled_from(Tier), unique=True, min_size=1).map(sorted)
speeds = st.sampled_from([0.5, 1.0, 1.03, 4.0])
shapes = st.lists(st.tuples(tier_sets, speeds, st.integers(0, 3)), min_size=1, max_size=3)
wishes = st.fixed_dictionaries(
    {
        "tier_requested": st.sampled_from([AUTO, *Tier]),
        "min_tier": st.none() | st.sampled_from(Tier),
        "deadline_s": st.none() | st.sampled_from([0.5, 2.0, 4.0, 9.0, 30.0]),
        "late": st.sampled_from(["refuse", "accept"]),
        "num_inference_steps": st.sampled_from([1, 4, 8, 40]),
        "priority": st.sampled_from([0, 0, -10, 10]),
        "caller": st.sampled_from(["a", "b"]),
    }
)
arrivals = st.tuples(st.just("arrive"), wishes)
events = st.lists(
    arrivals
    | arrivals
    | st.tuples(st.just("pass"), st.sampled_from([0.25, 1.0, 3.0, 20.0]))
    | st.tuples(st.sampled_from(["finish", "put back", "corrupt", "leave"]), st.integers(0, 5))
    | st.tuples(st.just("replicas"), st.integers(0, 2), st.integers(0, 3)),
    max_size=40,
)


class Watched:
    """A scheduler of random pools, and what must have become of each job that it took."""

    def __init__(self, shapes: Sequence[tuple[Sequence[Tier], float, int]]) -> None:
        served = [tier for tiers, _, _ in shapes for tier in tiers]
        self.model = model_of(
            *(pool(f"p{n}", tiers, ranks=n + 1) for n, (tiers, _, _) in enumerate(shapes)),
            default_tier=str(MEDIUM if MEDIUM in served else served[0]),
        )
        costs = TableCosts({f"p{n}": speed for n, (_, speed, _) in enumerate(shapes)}, spread=1.1)
        self.scheduler = Scheduler(self.model, costs)
        self.now_s = 0.0
        self.waiting: list[str] = []
        self.running: list[Dispatch] = []
        self.ended: list[str] = []
        self.decisions: list[tuple[str, str, str, str, str]] = []
        self._replicas: dict[str, list[str]] = {each.name: [] for each in self.model.pools}
        self._jobs = self._started = 0
        for number, (_, _, count) in enumerate(shapes):
            self.happen(("replicas", number, count))

    def happen(self, event: Event) -> None:
        match event:
            case ("arrive", wish):
                self._arrive(job(str(self._jobs), **wish))
            case ("pass", seconds):
                self.now_s += seconds
            case ("finish", number) if self.running:
                self.ended.append(self._finish(number).job.request_id)
            case ("put back", number) if self.running:
                again = self._finish(number)
                self.scheduler.put_back(again, self.now_s)
                self.waiting.append(again.job.request_id)
            case ("corrupt", number) if self.running:
                replica = self.running[number % len(self.running)].replica
                again = self._finish(number)
                self.scheduler.put_back(replace(again, avoids=again.avoids | {replica}), self.now_s)
                self.waiting.append(again.job.request_id)
            case ("leave", number) if self.waiting:
                gone = self.waiting.pop(number % len(self.waiting))
                left = self.scheduler.leave(gone)
                assert left is not None
                self.ended.append(gone)
            case ("replicas", number, count):
                self._run_replicas(f"p{number % len(self.model.pools)}", count)
        while dispatch := self.scheduler.next_dispatch(self.now_s):
            self._begin(dispatch)

    def free(self, avoided: frozenset[str] = frozenset()) -> set[str]:
        """Pools with a running replica that does nothing and is not to be avoided."""
        busy = {each.replica for each in self.running} | avoided
        return {name for name, replicas in self._replicas.items() if set(replicas) - busy}

    def others_run(self, waiting: Waiting) -> bool:
        """Whether a replica runs that a job does not avoid."""
        return any(set(self._replicas[name]) - waiting.avoids for name in waiting.offers)

    def stands(self, request_id: str) -> Waiting:
        waiting = self.scheduler.waiting(request_id)
        assert waiting is not None
        return waiting

    def _arrive(self, job: Job) -> None:
        self._jobs += 1
        if not takes(job, self.model):
            return
        if self.scheduler.arrive(job, self.now_s) is None:
            self.waiting.append(job.request_id)

    def _finish(self, number: int) -> Waiting:
        dispatch = self.running.pop(number % len(self.running))
        self.scheduler.finished(dispatch, self.now_s)
        return dispatch.waiting

    def _run_replicas(self, name: str, count: int) -> None:
        replicas = self._replicas[name]
        while len(replicas) < count:
            self._started += 1
            replicas.append(f"r{self._started}")
        del replicas[count:]
        self.scheduler.replicas_changed(name, replicas, self.now_s)

    def _begin(self, dispatch: Dispatch) -> None:
        job = dispatch.waiting.job
        assert dispatch.replica in self._replicas[dispatch.pool]
        assert dispatch.replica not in {each.replica for each in self.running}
        self.waiting.remove(job.request_id)
        self.running.append(dispatch)
        self.decisions.append(
            (job.request_id, dispatch.pool, dispatch.replica, dispatch.tier, dispatch.reason)
        )


def takes(job: Job, model: ModelConfig) -> bool:
    """What `cluster.request.settle` lets through: tiers that are served and do not contradict."""
    floor = job.min_tier
    if job.tier_requested == AUTO:
        return floor is None or any(tier.rank <= floor.rank for tier in model.tiers)
    named = Tier(job.tier_requested)
    return named in model.tiers and (floor is None or named.rank <= floor.rank)


def history(shapes: Any, events: Sequence[Event]) -> Watched:
    watched = Watched(shapes)
    for event in events:
        watched.happen(event)
    return watched


@given(shapes, events)
@settings(max_examples=150)
def test_the_tier_is_one_that_the_caller_allowed_and_the_pool_serves(shapes: Any, events: Any):
    watched = Watched(shapes)
    for event in events:
        watched.happen(event)
        for dispatch in watched.running:
            job, tier = dispatch.waiting.job, dispatch.tier
            assert tier in watched.model.pool_named(dispatch.pool).tiers
            if job.min_tier is not None:
                assert tier.rank <= job.min_tier.rank
            if job.tier_requested != AUTO:
                assert tier.rank >= Tier(job.tier_requested).rank
                assert job.min_tier is not None or tier == job.tier_requested
            elif job.min_tier is None and job.deadline_s is None:
                assert tier.rank <= Tier(watched.model.default_tier).rank


@given(shapes, events)
@settings(max_examples=150)
def test_every_job_that_was_taken_waits_or_runs_or_has_ended_and_nobody_is_in_two_places(
    shapes: Any, events: Any
):
    watched = Watched(shapes)
    for event in events:
        watched.happen(event)
        assert len(watched.scheduler) == len(watched.waiting)
        running = [each.waiting.job.request_id for each in watched.running]
        everybody = watched.waiting + running + watched.ended
        assert len(set(everybody)) == len(everybody)
        assert all(watched.scheduler.waiting(each) is not None for each in watched.waiting)
        assert all(watched.scheduler.waiting(each) is None for each in running + watched.ended)


@given(shapes, events)
@settings(max_examples=150)
def test_a_replica_is_free_only_while_all_it_could_serve_can_still_make_it_elsewhere_alone(
    shapes: Any, events: Any
):
    """A job waits beside a free replica only if it is late there and in time on a busy pool."""
    watched = Watched(shapes)
    for event in events:
        watched.happen(event)
        for waiting in map(watched.stands, watched.waiting):
            free = watched.free(waiting.avoids)
            latest_s = {n: waiting.due_s - offer.least_s for n, offer in waiting.offers.items()}
            if free & latest_s.keys():
                assert all(latest_s[name] < watched.now_s for name in free & latest_s.keys())
                assert any(latest_s[name] >= watched.now_s for name in latest_s.keys() - free)


@given(shapes, events)
@settings(max_examples=150)
def test_a_job_avoids_replicas_only_while_others_run(shapes: Any, events: Any):
    watched = Watched(shapes)
    for event in events:
        watched.happen(event)
        for waiting in map(watched.stands, watched.waiting):
            beside_avoided = watched.free() & waiting.offers.keys()
            if waiting.avoids and beside_avoided and not watched.free(waiting.avoids):
                assert watched.others_run(waiting)


@given(shapes, events)
@settings(max_examples=75)
def test_the_same_events_give_the_same_decisions(shapes: Any, events: Any):
    assert history(shapes, events).decisions == history(shapes, events).decisions


due = st.lists(
    st.tuples(st.integers(1, 200), st.sampled_from([1, 8, 24]), st.booleans()), max_size=12
)


@given(due, st.integers(1, 3))
@settings(max_examples=150)
def test_of_those_that_can_make_it_the_earliest_due_is_sent_unless_a_promise_forbids(
    due: list[tuple[int, int, bool]], replicas: int
):
    scheduler = Scheduler(model_of(pool("p")), TableCosts())
    scheduler.replicas_changed("p", [str(number) for number in range(replicas)], 0.0)
    for number, (deadline_s, steps, firm) in enumerate(due):
        late = "refuse" if firm else "accept"
        wish = job(str(number), deadline_s=deadline_s, num_inference_steps=steps, late=late)
        scheduler.arrive(wish, 0.0)
    there = [each for number in range(len(due)) if (each := scheduler.waiting(str(number)))]
    for _ in range(replicas):
        hopeful = [each for each in there if each.least_s <= each.due_s]
        if not hopeful:
            return
        first = min(hopeful, key=lambda each: (each.due_s, each.number))
        promise = min(
            (each for each in hopeful if each.promised),
            key=lambda each: (each.due_s, each.number),
            default=first,
        )
        dispatch = scheduler.next_dispatch(0.0)
        assert dispatch is not None
        assert dispatch.waiting in (first, promise)
        there.remove(dispatch.waiting)


@given(due)
@settings(max_examples=150)
def test_what_one_replica_begins_leaves_every_promise_within_reach(
    due: list[tuple[int, int, bool]],
):
    scheduler = Scheduler(model_of(pool("p")), TableCosts())
    scheduler.replicas_changed("p", ["r"], 0.0)
    now_s, promises = 0.0, set()
    for number, (deadline_s, steps, firm) in enumerate(due):
        wish = job(str(number), deadline_s=deadline_s if firm else None, num_inference_steps=steps)
        if scheduler.arrive(wish, 0.0) is None and firm:
            promises.add(str(number))
    while dispatch := scheduler.next_dispatch(now_s):
        now_s += dispatch.forecast.p50_s
        scheduler.finished(dispatch, now_s)
        if dispatch.waiting.job.request_id in promises:
            assert now_s <= dispatch.waiting.due_s
