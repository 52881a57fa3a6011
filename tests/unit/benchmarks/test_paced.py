"""When calls begin, and what is known of them."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.paced import arrivals, at_times, in_turn


def test_arrivals_come_at_their_rate_and_are_those_of_their_seed() -> None:
    times = arrivals(50.0, 100.0, seed=3)
    assert times == arrivals(50.0, 100.0, seed=3)
    assert times != arrivals(50.0, 100.0, seed=4)
    assert len(times) == pytest.approx(5000, rel=0.05)
    assert times == sorted(times)
    assert times[-1] < 100.0


def test_a_call_begins_at_its_time_though_others_are_not_answered() -> None:
    async def slow(number: int) -> int:
        await asyncio.sleep(0.3)
        return number

    calls = asyncio.run(at_times(slow, [0.0, 0.05, 0.1]))
    assert [call.outcome for call in calls] == [0, 1, 2]
    assert [call.due_s for call in calls] == [0.0, 0.05, 0.1]
    assert all(call.took_s >= 0.29 for call in calls)
    assert all(call.began_s < 0.29 for call in calls), "none waited for the one before"


def test_callers_in_turn_have_one_call_at_a_time_each() -> None:
    under_way, most = 0, 0

    async def call(number: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1

    calls = asyncio.run(in_turn(call, 3, 0.1))
    assert most == 3
    assert all(each.due_s < 0.1 for each in calls)
    assert len(calls) >= 6
