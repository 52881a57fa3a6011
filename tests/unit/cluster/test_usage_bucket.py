"""A budget a minute: what comes in over any time is bounded, and the wait that is told is right."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.usage_bucket import UsageBucket


def test_a_minutes_worth_may_be_used_at_once_and_comes_back_steadily() -> None:
    bucket = UsageBucket(0.0)
    for _ in range(6):
        assert bucket.wait_s(1.0, 6.0, 0.0) == 0.0
        bucket.take(1.0, 6.0, 0.0)
    assert bucket.wait_s(1.0, 6.0, 0.0) == pytest.approx(10.0)
    assert bucket.wait_s(1.0, 6.0, 4.0) == pytest.approx(6.0)
    assert bucket.wait_s(1.0, 6.0, 10.0) == 0.0


def test_what_is_larger_than_the_budget_comes_in_when_nothing_is_used_and_leaves_a_debt() -> None:
    bucket = UsageBucket(0.0)
    bucket.take(0.5, 60.0, 0.0)
    assert bucket.wait_s(300.0, 60.0, 0.0) == pytest.approx(0.5)
    assert bucket.wait_s(300.0, 60.0, 1.0) == 0.0
    bucket.take(300.0, 60.0, 1.0)
    assert bucket.wait_s(1.0, 60.0, 1.0) == pytest.approx(241.0)
    assert bucket.wait_s(300.0, 60.0, 1.0) == pytest.approx(300.0)


def test_what_was_not_done_comes_back_as_far_as_time_has_not_brought_it_back() -> None:
    at_once, later = UsageBucket(0.0), UsageBucket(0.0)
    for bucket in (at_once, later):
        bucket.take(60.0, 60.0, 0.0)
    at_once.give_back(60.0, 0.0, 0.0)
    assert not at_once.is_in_use(0.0)
    later.take(60.0, 60.0, 60.0)
    later.give_back(60.0, 0.0, 60.0)
    assert later.wait_s(60.0, 60.0, 60.0) == pytest.approx(60.0)


def test_a_limit_that_is_changed_holds_from_then_on() -> None:
    bucket = UsageBucket(0.0)
    bucket.take(10.0, 10.0, 0.0)
    assert bucket.wait_s(1.0, 10.0, 0.0) == pytest.approx(6.0)
    assert bucket.wait_s(1.0, 20.0, 0.0) == 0.0
    assert bucket.wait_s(1.0, 5.0, 0.0) == pytest.approx(72.0)


ASKED = st.lists(
    st.tuples(
        st.floats(0.0, 40.0),  # seconds after the one before
        st.floats(0.01, 50.0),  # the amount
        st.booleans(),  # whether it is given up
        st.floats(0.0, 100.0),  # and when
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(asked=ASKED, per_minute=st.floats(0.5, 100.0))
def test_over_any_time_no_more_is_done_than_the_budget_and_one_minutes_worth_or_one_job(
    asked: list[tuple[float, float, bool, float]], per_minute: float
) -> None:
    """Of what came in and was not given up; what is given up is begun by nobody."""
    bucket, now_s = UsageBucket(0.0), 0.0
    done: list[tuple[float, float]] = []
    given_up: list[tuple[float, float, float]] = []
    for gap_s, amount, is_given_up, after_s in asked:
        now_s += gap_s
        for when_s, gone, taken_s in sorted(each for each in given_up if each[0] <= now_s):
            bucket.give_back(gone, taken_s, when_s)
        given_up = [each for each in given_up if each[0] > now_s]
        if bucket.wait_s(amount, per_minute, now_s) > 0.0:
            continue
        bucket.take(amount, per_minute, now_s)
        if is_given_up:
            given_up.append((now_s + after_s, amount, now_s))
        else:
            done.append((now_s, amount))
    largest = max((amount for _, amount in done), default=0.0)
    for index, (begin_s, _) in enumerate(done):
        total = 0.0
        for at_s, amount in done[index:]:
            total += amount
            bound = max(per_minute, largest) + per_minute * (at_s - begin_s) / 60.0
            assert total <= bound * (1 + 1e-6)


@settings(max_examples=200)
@given(
    taken=st.lists(st.floats(0.01, 50.0), min_size=1, max_size=10),
    amount=st.floats(0.01, 50.0),
    per_minute=st.floats(0.5, 100.0),
    began_s=st.floats(0.0, 1e7),
)
def test_who_waits_as_told_is_let_in_and_who_waits_clearly_less_is_not(
    taken: list[float], amount: float, per_minute: float, began_s: float
) -> None:
    bucket = UsageBucket(began_s)
    for each in taken:
        bucket.take(each, per_minute, began_s)
    wait_s = bucket.wait_s(amount, per_minute, began_s)
    if wait_s > 0.01:
        assert bucket.wait_s(amount, per_minute, began_s + 0.9 * wait_s) > 0.0
    assert bucket.wait_s(amount, per_minute, began_s + wait_s) == pytest.approx(0.0, abs=1e-5)
    assert bucket.wait_s(amount, per_minute, began_s + wait_s + 1e-6) == 0.0
