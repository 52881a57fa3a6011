"""Nobody waits for ever: bounds on waiting under urgent work without end, and between callers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cluster.late import LATE_TURN, PATIENCE
from tests.unit.cluster.jobs import job
from tests.unit.cluster.pools import NONE, ULTRA, TableCosts, model_of, pool
from tests.unit.cluster.timeline import Timeline

ONE_POOL = model_of(pool("p"), max_queued=10**6, max_backlog_s=1e9)


@pytest.mark.parametrize("replicas", [1, 2, 3])
@pytest.mark.parametrize("load", [1.0, 1.3, 3.0])
def test_a_late_job_is_begun_in_its_turn_under_urgent_work_without_end(replicas: int, load: float):
    """Its turn comes no later than after `LATE_TURN` of the longest jobs for each before it."""
    timeline = Timeline(ONE_POOL, TableCosts(), {"p": replicas})
    urgent_s, longest_s, had_s = 2.0, 8.0, 10.0
    entitled_s = PATIENCE * max(had_s, longest_s)
    for number in range(replicas):
        timeline.arrive(job(f"busy {number}", tier_requested="none"))
    late = job("late", tier_requested="none", deadline_s=had_s, late="accept", priority=-10)
    timeline.arrive(job("first in line", tier_requested="none", deadline_s=had_s, late="accept"))
    timeline.arrive(late)
    entitled_before, number, bound_s = 1, 0, math.inf
    while timeline.scheduler.waiting("late") and timeline.now_s <= bound_s:
        timeline.go_on(number * urgent_s / load / replicas)
        timeline.arrive(job(str(number), tier_requested="ultra", priority=10))
        number += 1
        if timeline.now_s + PATIENCE * 3 * urgent_s < entitled_s:
            entitled_before += 1
        elif bound_s == math.inf:
            rounds = 1 + math.ceil(LATE_TURN * (entitled_before + 1) / replicas)
            bound_s = entitled_s + rounds * longest_s
    assert timeline.begin_s("late") <= bound_s


@pytest.mark.parametrize("arrived_s", range(7))
def test_each_pool_gives_its_late_jobs_their_turn_however_many_another_pool_sends(arrived_s: int):
    """The quick pool begins seven jobs in the time of one on the best pool: eight in all."""
    model = model_of(pool("quick", [ULTRA]), pool("best", [NONE]), default_tier="ultra")
    timeline = Timeline(model, TableCosts(), {"quick": 1, "best": 1})
    second: dict[str, Any] = {"tier_requested": "ultra", "num_inference_steps": 4}
    seven: dict[str, Any] = {"tier_requested": "none", "num_inference_steps": 7}
    late: dict[str, Any] = {"deadline_s": 0.1, "late": "accept"}
    for number in range(60):
        timeline.arrive(job(f"quick, late {number}", **second | late))
    for now_s in range(200):
        timeline.go_on(float(now_s))
        timeline.arrive(job(f"quick {now_s}", **second))
        if now_s == arrived_s:
            timeline.arrive(job("best, busy", **seven))
            timeline.arrive(job("best, late", **seven | late))
        if now_s % 7 == arrived_s:
            timeline.arrive(job(f"best {now_s}", **seven))
    assert timeline.begin_s("best, late") <= arrived_s + (PATIENCE + LATE_TURN + 1) * 7.0


@pytest.mark.parametrize("deadline_s", [None, 3600.0])
def test_one_job_of_another_caller_is_begun_long_before_a_thousand_of_one_are(
    deadline_s: float | None,
):
    second: dict[str, Any] = {"tier_requested": "ultra", "num_inference_steps": 4}
    model = model_of(pool("p"), max_queued=1000)
    timeline = Timeline(model, TableCosts(), {"p": 1})
    for number in range(1001):
        crowd = job(f"crowd {number}", caller="crowd", deadline_s=deadline_s, **second)
        assert timeline.arrive(crowd) is None
    assert timeline.arrive(job("one", caller="someone", **second)) is None
    timeline.go_on(10_000.0)
    assert len(timeline.begun) == 1002
    assert timeline.order().index("one") < 20
