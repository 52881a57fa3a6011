"""Requests of keys against their limits: how many are let in, what counts, and what comes back."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import DeadlinePassed, QueueFull
from cluster.job import Job
from cluster.key_ledger import LOOK_S, RESERVED_S, KeyLedger
from cluster.key_limits import KeyLimits
from tests.unit.cluster.jobs import job

TWO = {"in_flight": 2}


def asked(request_id: str, limits: Any = None, key_id: str = "ann", **fields: Any) -> Job:
    own = None if limits is None else KeyLimits.model_validate(limits)
    return job(request_id, key_id=key_id, limits=own, **fields)


def let_in(ledger: KeyLedger, it: Job, now_s: float = 0.0, gpu_seconds: float = 0.0) -> bool:
    """Whether it comes in; one that does is counted."""
    if ledger.refusal(it, gpu_seconds, now_s) is not None:
        return False
    ledger.take(it, gpu_seconds, now_s)
    return True


def test_a_key_has_so_many_in_flight_and_others_are_not_concerned() -> None:
    ledger = KeyLedger("shapes")
    assert [let_in(ledger, asked(name, TWO)) for name in "abc"] == [True, True, False]
    assert let_in(ledger, asked("other", TWO, key_id="bob"))
    assert let_in(ledger, asked("handle", key_id=""))
    ledger.ended(asked("a"), 1.0)
    assert let_in(ledger, asked("c", TWO), 1.0)
    assert not let_in(ledger, asked("d", TWO), 1.0)


def test_the_refusal_names_the_limit_its_value_and_when_to_come_again() -> None:
    ledger = KeyLedger("shapes")
    first = asked("a", {"in_flight": 1})
    let_in(ledger, first)
    unknown = ledger.refusal(asked("b", {"in_flight": 1}), 0.0, 0.0)
    assert unknown is not None
    assert unknown.error.retry_after_s == 1.0
    ledger.began(first, 12.0)
    refused = ledger.refusal(asked("b", {"in_flight": 1}), 0.0, 3.5)
    assert refused is not None
    assert (refused.limit, refused.error.retry_after_s) == ("in_flight", 8.5)
    assert str(refused.error) == (
        "in_flight: this key has 1 in flight with shapes, and 1 is the most; try again in 9 s"
    )


def test_of_several_limits_that_are_reached_the_last_to_let_it_in_is_named() -> None:
    ledger = KeyLedger("shapes")
    limits = {"in_flight": 1, "requests_per_minute": 1, "gpu_seconds_per_minute": 60}
    assert let_in(ledger, asked("a", limits), gpu_seconds=90.0)
    refused = ledger.refusal(asked("b", limits), 10.0, 0.0)
    assert refused is not None
    assert refused.limit == "requests_per_minute"
    assert refused.error.retry_after_s == pytest.approx(60.0)
    refused = ledger.refusal(asked("b", limits), 55.0, 0.0)
    assert refused is not None
    assert refused.error.retry_after_s == pytest.approx(85.0)
    assert str(refused.error) == (
        "gpu_seconds_per_minute: this key may use 60 GPU-seconds a minute of shapes, and this "
        "request is forecast to take 55; try again in 85 s"
    )


def test_the_limits_of_the_key_and_of_the_tier_that_is_asked_for_both_hold() -> None:
    ledger = KeyLedger("shapes")
    limits = {"in_flight": 3, "tiers": {"none": {"in_flight": 1}, "auto": {"in_flight": 1}}}
    order = [("a", "none"), ("b", "none"), ("c", "auto"), ("d", "auto"), ("e", "fast")]
    found = [let_in(ledger, asked(name, limits, tier_requested=tier)) for name, tier in order]
    assert found == [True, False, True, False, True]
    refused = ledger.refusal(asked("f", limits, tier_requested="fast"), 0.0, 0.0)
    assert refused is not None
    assert refused.limit == "in_flight"
    ledger.ended(asked("e"), 0.0)
    refused = ledger.refusal(asked("f", limits, tier_requested="none"), 0.0, 0.0)
    assert refused is not None
    assert refused.limit == "tiers.none.in_flight"


def test_a_refused_request_takes_nothing() -> None:
    ledger = KeyLedger("shapes")
    limits = {"in_flight": 1, "requests_per_minute": 2}
    assert let_in(ledger, asked("a", limits))
    assert not any(let_in(ledger, asked(f"{number}", limits)) for number in range(50))
    ledger.ended(asked("a"), 0.0)
    assert let_in(ledger, asked("b", limits))


def test_one_that_comes_again_counts_once_and_is_never_refused() -> None:
    ledger = KeyLedger("shapes")
    limits = {"in_flight": 1, "requests_per_minute": 1}
    for _ in range(3):
        assert let_in(ledger, asked("a", limits))
    ledger.ended(asked("a"), 0.0)
    assert not let_in(ledger, asked("b", limits), 1.0)


def test_after_a_router_died_what_is_sent_again_counts_and_comes_in() -> None:
    ledger = KeyLedger("shapes")
    again = [asked(name, {"in_flight": 1}, attempt=2) for name in "ab"]
    assert all(let_in(ledger, each) for each in again)
    assert not let_in(ledger, asked("c", {"in_flight": 1}))
    for each in again:
        ledger.ended(each, 1.0)
    assert let_in(ledger, asked("c", {"in_flight": 1}), 1.0)


def test_gpu_seconds_of_what_never_ran_come_back_and_of_what_ran_do_not() -> None:
    ledger = KeyLedger("shapes")
    limits = {"gpu_seconds_per_minute": 60, "tiers": {"none": {"gpu_seconds_per_minute": 60}}}
    wish = {"tier_requested": "none"}
    first = asked("a", limits, **wish)
    assert let_in(ledger, first, gpu_seconds=60.0)
    assert not let_in(ledger, asked("b", limits, **wish), gpu_seconds=60.0)
    ledger.ended(first, 0.0, DeadlinePassed("too late"))
    second = asked("b", limits, **wish)
    assert let_in(ledger, second, gpu_seconds=60.0)
    ledger.began(second, 5.0)
    ledger.ended(second, 5.0)
    assert not let_in(ledger, asked("c", limits, **wish), 5.0, gpu_seconds=60.0)
    assert let_in(ledger, asked("c", limits, **wish), 60.0, gpu_seconds=60.0)


def test_a_video_counts_from_its_reservation_to_its_end() -> None:
    ledger = KeyLedger("clips")
    video = asked("v", {"in_flight": 1})
    ledger.take(video, 0.0, 0.0, reserve=True)
    assert not let_in(ledger, asked("w", {"in_flight": 1}), 1.0)
    sent = asked("v")
    assert let_in(ledger, sent, 5.0)
    assert not let_in(ledger, asked("w", {"in_flight": 1}), 5.0 + 2 * RESERVED_S)
    ledger.ended(sent, 200.0)
    assert let_in(ledger, asked("w", {"in_flight": 1}), 200.0)


def test_a_video_that_finds_the_line_full_stays_for_the_next_try() -> None:
    ledger = KeyLedger("clips")
    video = asked("v", {"in_flight": 1})
    ledger.take(video, 0.0, 0.0, reserve=True)
    ledger.ended(asked("v"), 50.0, QueueFull("full"))
    assert not let_in(ledger, asked("w", {"in_flight": 1}), 49.0 + RESERVED_S)
    ledger.ended(asked("v"), 49.5 + RESERVED_S, DeadlinePassed("too late"))
    assert let_in(ledger, asked("w", {"in_flight": 1}), 49.5 + RESERVED_S)


def test_a_video_that_never_comes_is_given_up_with_its_gpu_seconds() -> None:
    ledger = KeyLedger("clips")
    limits = {"in_flight": 1, "gpu_seconds_per_minute": 60}
    ledger.take(asked("v", limits), 600.0, 0.0, reserve=True)
    assert not let_in(ledger, asked("w", limits), RESERVED_S - 1.0)
    assert let_in(ledger, asked("w", limits), RESERVED_S, gpu_seconds=60.0)


def test_keys_that_use_nothing_are_forgotten() -> None:
    ledger = KeyLedger("shapes")
    for number in range(1000):
        one = asked("a", {"requests_per_minute": 60}, key_id=f"{number}")
        let_in(ledger, one, 0.0)
        ledger.ended(one, 0.0)
    let_in(ledger, asked("b", TWO), 1.0)
    assert len(ledger) == 1001
    assert let_in(ledger, asked("c", TWO), LOOK_S + 1.0)
    assert len(ledger) == 1
    assert not let_in(ledger, asked("d", TWO), LOOK_S + 1.0)


def test_limits_and_key_make_no_other_job_and_reach_a_router_and_no_store() -> None:
    limited = asked("a", TWO)
    assert limited == job("a")
    assert pickle.loads(pickle.dumps(limited)).limits == KeyLimits(in_flight=2)
    assert not {"limits", "key_id"} & limited.as_mapping().keys()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "begin", "end", "give up"]),
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["none", "fast", "auto"]),
        st.floats(0.1, 20.0),
        st.floats(0.0, 30.0),
    ),
    max_size=60,
)
BOUNDS = {
    "in_flight": 3,
    "requests_per_minute": 10,
    "gpu_seconds_per_minute": 30.0,
    "tiers": {"none": {"in_flight": 1, "gpu_seconds_per_minute": 12.0}},
}


@settings(max_examples=150)
@given(steps=STEPS)
def test_no_order_of_events_lets_more_in_flight_and_the_wait_that_is_told_is_enough(
    steps: list[tuple[str, str, str, float, float]],
) -> None:
    ledger, now_s = KeyLedger("shapes"), 0.0
    flying: dict[str, Job] = {}
    for number, (what, key_id, tier, gpu_seconds, gap_s) in enumerate(steps):
        now_s += gap_s
        mine = [each for each in flying.values() if each.key_id == key_id]
        if what == "ask":
            it = asked(str(number), BOUNDS, key_id, tier_requested=tier)
            if (refused := ledger.refusal(it, gpu_seconds, now_s)) is None:
                ledger.take(it, gpu_seconds, now_s)
                flying[it.request_id] = it
            elif not refused.limit.endswith("in_flight"):
                assert refused.error.retry_after_s is not None
                then_s = now_s + refused.error.retry_after_s + 1e-6
                again = ledger.refusal(it, gpu_seconds, then_s)
                assert again is None or again.limit.endswith("in_flight")
                return
        elif mine and what == "begin":
            ledger.began(mine[0], now_s + gpu_seconds)
        elif mine:
            ledger.ended(flying.pop(mine[0].request_id), now_s)
        for name in ("ann", "bob"):
            held = [each for each in flying.values() if each.key_id == name]
            assert len(held) <= 3
            assert sum(each.tier_requested == "none" for each in held) <= 1
