"""Who is over its share of the line, and what a crowd leaves to newcomers."""

from __future__ import annotations

import pytest

from cluster.config import ModelConfig
from cluster.errors import OutOfReach, QueueFull
from cluster.fairness import MEMORY_S, Callers, Standing
from cluster.job import Job
from tests.unit.cluster.jobs import job
from tests.unit.cluster.pools import TableCosts, model_of, pool
from tests.unit.cluster.timeline import Timeline


def callers(*names: str) -> Callers:
    it = Callers()
    for name in names:
        it.seen(name, 0.0)
    return it


def busy(model: ModelConfig) -> Timeline:
    """One replica, which a caller of its own keeps busy for 8 seconds."""
    timeline = Timeline(model, TableCosts(), {"p": 1})
    timeline.arrive(job("busy", tier_requested="none", caller="crowd"))
    return timeline


def test_a_single_caller_has_no_share_to_keep():
    it = callers("a")
    it.holds("a", 100.0)
    assert it.standing("a") is Standing.ALONE


def test_the_share_is_an_equal_part_of_the_work_that_waits():
    it = callers("a", "b")
    it.holds("a", 6.0)
    it.holds("b", 4.0)
    assert it.standing("a") is Standing.OVER_ITS_SHARE
    assert it.standing("b") is Standing.UNDER_ITS_SHARE
    it.let_go("a", 6.0)
    assert it.standing("a") is Standing.UNDER_ITS_SHARE
    assert it.standing("b") is Standing.OVER_ITS_SHARE


def test_a_caller_that_was_never_seen_is_under_its_share():
    it = callers("a")
    it.holds("a", 6.0)
    assert it.standing("new") is Standing.UNDER_ITS_SHARE


def test_one_that_holds_nothing_is_under_its_share_when_nobody_does():
    assert callers("a", "b").standing("a") is Standing.UNDER_ITS_SHARE


@pytest.mark.parametrize(
    ("later_s", "standing"),
    [(MEMORY_S, Standing.OVER_ITS_SHARE), (MEMORY_S + 1, Standing.ALONE)],
)
def test_a_caller_counts_for_some_minutes_after_its_last_request(
    later_s: float, standing: Standing
):
    it = callers("a", "b")
    it.holds("a", 6.0)
    it.seen("a", later_s)
    assert it.standing("a") is standing


def test_a_line_full_of_one_callers_jobs_has_room_for_anothers():
    timeline = busy(model_of(pool("p"), max_queued=10))
    taken = [timeline.arrive(job(f"crowd {n}", caller="crowd")) is None for n in range(12)]
    assert taken == [True] * 10 + [False] * 2
    assert timeline.arrive(job("one", caller="someone")) is None
    assert isinstance(timeline.arrive(job("more", caller="crowd")), QueueFull)
    assert isinstance(timeline.arrive(job("more of it", caller="third")), QueueFull)


def test_the_bound_on_work_leaves_the_same_room():
    timeline = busy(model_of(pool("p"), max_backlog_s=100.0))
    wish = {"tier_requested": "none"}
    taken = [timeline.arrive(job(f"{n}", caller="crowd", **wish)) is None for n in range(14)]
    assert taken == [True] * 12 + [False] * 2
    assert timeline.arrive(job("one", caller="someone", **wish)) is None
    assert isinstance(timeline.arrive(job("more", caller="crowd", **wish)), QueueFull)


def test_a_caller_over_its_share_leaves_a_tenth_of_the_promises_to_the_others():
    timeline = busy(model_of(pool("p")))
    wish = {"tier_requested": "ultra", "deadline_s": 108.0}
    timeline.arrive(job("other", caller="someone", tier_requested="ultra", deadline_s=500.0))
    refusals = [timeline.arrive(job(f"{n}", caller="crowd", **wish)) for n in range(60)]
    promised = sum(refusal is None for refusal in refusals)
    assert promised == 45
    assert isinstance(refusals[-1], OutOfReach)
    assert timeline.arrive(job("one", caller="someone", **wish)) is None


def test_a_caller_whose_jobs_were_served_is_no_longer_over_its_share():
    timeline = Timeline(model_of(pool("p")), TableCosts(), {"p": 1})
    for number in range(5):
        timeline.arrive(job(f"crowd {number}", caller="crowd"))
    timeline.go_on(100.0)
    timeline.arrive(job("busy", caller="someone", tier_requested="none"))
    wish = {"tier_requested": "ultra", "deadline_s": 8.0 + 2.1}
    assert timeline.arrive(job("again", caller="crowd", **wish)) is None


def test_a_key_that_names_many_users_has_one_share():
    def crowd(request_id: str) -> Job:
        return job(request_id, caller=f"user {request_id}", key_id="crowd")

    timeline = Timeline(model_of(pool("p"), max_queued=10), TableCosts(), {"p": 1})
    timeline.arrive(job("busy", tier_requested="none", caller="crowd", key_id="crowd"))
    timeline.arrive(job("other", caller="someone", key_id="someone"))
    taken = [timeline.arrive(crowd(f"{number}")) is None for number in range(12)]
    assert taken.count(True) == 9
    assert timeline.arrive(job("one", caller="user 1", key_id="someone")) is None
    assert isinstance(timeline.arrive(crowd("more")), QueueFull)
