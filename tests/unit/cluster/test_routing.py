"""Which job goes where: the tier that was asked for, a replica that is free, and nobody held up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import ModelConfig
from cluster.queue import WaitingLine
from cluster.request import Job
from cluster.routing import Dispatch, PoolState, next_dispatch
from cluster.tiers import AUTO, Tier

NONE, SLOW, MEDIUM, FAST, ULTRA = Tier


def line_of(*asked: tuple[str, str], floor: Tier | None = None) -> WaitingLine:
    """A line of (request id, tier), in that order."""
    line = WaitingLine()
    for request_id, tier in asked:
        line.arrive(
            Job(
                request_id=request_id,
                model="shapes",
                prompt="a red circle",
                n=1,
                width=128,
                height=128,
                tier_requested=tier,
                min_tier=floor,
                num_inference_steps=20,
                seed=7,
            ),
            now_s=0.0,
        )
    return line


def pool(name: str, tiers: tuple[Tier, ...], *free: str) -> PoolState:
    return PoolState(name, tiers, free)


def where(dispatch: Dispatch | None) -> tuple[str, str, str, str] | None:
    if dispatch is None:
        return None
    return dispatch.waiting.job.request_id, dispatch.pool, dispatch.replica, dispatch.tier


def test_the_first_in_line_goes_to_a_free_replica(model: ModelConfig):
    line = line_of(("a", "fast"), ("b", "fast"))
    assert where(next_dispatch(line, [pool("p", (FAST,), "r1", "r2")], model)) == (
        "a",
        "p",
        "r1",
        "fast",
    )


@pytest.mark.parametrize("pools", [[], [pool("p", tuple(Tier))]])
def test_all_wait_where_no_replica_is_free(model: ModelConfig, pools: list[PoolState]):
    assert next_dispatch(line_of(("a", "fast")), pools, model) is None


def test_free_replicas_wait_where_nobody_is_in_line(model: ModelConfig):
    assert next_dispatch(line_of(), [pool("p", tuple(Tier), "r1")], model) is None


def test_a_job_waits_for_the_pool_that_serves_its_tier(model: ModelConfig):
    pools = [pool("busy", (NONE,)), pool("idle", (FAST, ULTRA), "r1")]
    assert next_dispatch(line_of(("a", "none")), pools, model) is None


def test_a_job_that_must_wait_does_not_hold_up_those_behind_it(model: ModelConfig):
    pools = [pool("busy", (NONE,)), pool("idle", (FAST, ULTRA), "r1")]
    line = line_of(("a", "none"), ("b", "ultra"))
    assert where(next_dispatch(line, pools, model)) == ("b", "idle", "r1", "ultra")


def test_a_job_goes_to_the_second_pool_where_the_first_is_busy(model: ModelConfig):
    pools = [pool("first", (FAST,)), pool("second", (FAST,), "r2")]
    assert where(next_dispatch(line_of(("a", "fast")), pools, model)) == (
        "a",
        "second",
        "r2",
        "fast",
    )


@pytest.mark.parametrize(
    ("floor", "tier"), [(None, MEDIUM), (ULTRA, MEDIUM), (MEDIUM, MEDIUM), (SLOW, SLOW)]
)
def test_auto_is_the_models_default_tier_raised_to_the_callers_floor(
    model: ModelConfig, floor: Tier | None, tier: Tier
):
    line = line_of(("a", AUTO), floor=floor)
    assert where(next_dispatch(line, [pool("p", tuple(Tier), "r1")], model)) == (
        "a",
        "p",
        "r1",
        tier,
    )


def test_a_decision_says_whether_the_tier_was_asked_for_or_chosen(model: ModelConfig):
    pools = [pool("p", tuple(Tier), "r1")]
    asked = next_dispatch(line_of(("a", "medium")), pools, model)
    chosen = next_dispatch(line_of(("a", AUTO)), pools, model)
    assert asked is not None
    assert chosen is not None
    assert asked.reason == "medium as asked"
    assert "medium is the default" in chosen.reason


def test_a_decision_takes_nobody_out_of_the_line(model: ModelConfig):
    line = line_of(("a", "fast"))
    next_dispatch(line, [pool("p", (FAST,), "r1")], model)
    assert len(line) == 1


TIER_SETS = st.lists(st.sampled_from(Tier), unique=True, min_size=1).map(tuple)
POOLS = st.lists(st.tuples(TIER_SETS, st.integers(0, 2)), max_size=3).map(
    lambda shapes: [
        pool(f"p{i}", tiers, *(f"p{i}-r{k}" for k in range(free)))
        for i, (tiers, free) in enumerate(shapes)
    ]
)


@given(st.lists(st.sampled_from(Tier), max_size=6), POOLS)
def test_the_first_job_that_some_free_replica_serves_is_sent_to_such_a_replica(
    model: ModelConfig, asked: list[Tier], pools: list[PoolState]
):
    line = line_of(*((str(i), tier) for i, tier in enumerate(asked)))
    served = {tier for each in pools if each.free_replicas for tier in each.tiers}
    dispatch = next_dispatch(line, pools, model)
    if dispatch is None:
        assert not served & set(asked)
        return
    first = next(i for i, tier in enumerate(asked) if tier in served)
    assert (dispatch.waiting.job.request_id, dispatch.tier) == (str(first), asked[first])
    (chosen,) = [each for each in pools if each.name == dispatch.pool]
    assert dispatch.replica in chosen.free_replicas
    assert dispatch.tier in chosen.tiers
