"""Which deadlines can be promised, and the least one that could be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.admission import can_promise, out_of_reach
from cluster.late import LateLine
from cluster.pool import PoolConfig
from cluster.pool_line import PoolLine
from cluster.queue import Waiting
from tests.unit.cluster.jobs import waiting
from tests.unit.cluster.pools import pool


def line(
    name: str = "p", *ends_s: float, free: int = 0, promised: Mapping[float, float] = {}
) -> PoolLine:
    """Replicas that end then, free ones, and promises as seconds of work by deadline."""
    it = PoolLine(PoolConfig.model_validate(pool(name)), LateLine())
    it.replicas.changed([f"{name}-{number}" for number in range(len(ends_s) + free)])
    for end_s in ends_s:
        it.replicas.take(end_s)
    for number, (due_s, work_s) in enumerate(promised.items()):
        there = waiting(100 + number, due_s=due_s, least_s=work_s, promised=True, pools=(name,))
        it.enter(there, work_s)
    return it


def asked(due_s: float, *pools: str, least_s: float = 2.0) -> Waiting:
    return waiting(999, due_s=due_s, least_s=least_s, promised=True, pools=pools or ("p",))


def promise(job: Waiting, *lines: PoolLine, usable_share: float = 1.0, **parts_s: float) -> bool:
    by_name = {line.name: line for line in lines}
    return can_promise(job, by_name, parts_s or {"p": job.least_s}, 0.0, usable_share)


def test_a_free_replica_can_promise_what_it_can_do_in_time():
    assert promise(asked(2.0), line(free=1))
    assert not promise(asked(1.9), line(free=1))


def test_a_busy_replica_can_promise_what_it_can_do_after_its_job():
    assert promise(asked(7.0), line("p", 5.0))
    assert not promise(asked(6.9), line("p", 5.0))


def test_work_enough_is_not_enough_where_no_replica_is_free_in_time():
    assert not promise(asked(6.0), line("p", 5.0, 5.0, 5.0))


def test_what_was_promised_for_an_earlier_deadline_goes_first():
    assert promise(asked(7.0), line(free=1, promised={6.0: 5.0}))
    assert not promise(asked(6.9), line(free=1, promised={6.0: 5.0}))


def test_what_was_promised_for_a_later_deadline_must_still_be_kept():
    assert promise(asked(5.0), line(free=1, promised={8.0: 6.0}))
    assert not promise(asked(5.0), line(free=1, promised={8.0: 6.1}))


def test_only_the_usable_share_of_a_pool_is_promised():
    assert promise(asked(20.0), line(free=1, promised={19.0: 16.0}), usable_share=0.9)
    assert not promise(asked(20.0), line(free=1, promised={19.0: 16.1}), usable_share=0.9)


def test_two_pools_may_keep_a_deadline_each_with_its_part():
    lines = [line("p", free=1, promised={9.0: 8.0}), line("q", free=1, promised={9.0: 8.0})]
    assert promise(asked(9.0, "p", "q"), *lines, p=1.0, q=1.0)
    assert not promise(asked(9.0, "p", "q"), *lines, p=1.1, q=0.9)


def test_one_of_two_pools_may_keep_a_deadline_alone():
    lines = [line("p", free=1, promised={9.0: 9.0}), line("q", free=1)]
    assert promise(asked(9.0, "p", "q"), *lines, p=1.0, q=1.0)


def refusal(job: Waiting, of: PoolLine) -> Any:
    return out_of_reach(job, {"p": of}, {"p": job.least_s}, 0.0, 1.0)


def test_a_refusal_tells_the_earliest_deadline_and_how_long_to_wait_for_the_one_that_was_asked():
    error = refusal(asked(4.0), line("p", 30.0))
    assert error.earliest_feasible_s == pytest.approx(32.0, rel=0.01)
    assert error.retry_after_s == pytest.approx(28.0, rel=0.02)
    assert (error.http_status, error.param) == (429, "deadline_ms")
    assert "4000 ms is out of reach even in ultra" in error.message


def test_nobody_is_told_to_come_back_in_less_than_a_second():
    assert refusal(asked(31.9), line("p", 30.0)).retry_after_s == 1.0


@given(
    st.floats(0.001, 20),
    st.floats(0.001, 5),
    st.lists(st.floats(0, 30), min_size=1, max_size=3),
    st.dictionaries(st.floats(1, 60), st.floats(0.01, 9), max_size=6),
)
@settings(max_examples=200)
def test_the_earliest_deadline_would_be_promised_and_one_a_fiftieth_below_would_not(
    due_s: float, least_s: float, ends_s: list[float], promised: dict[float, float]
):
    it, job = line("p", *ends_s, promised=promised), asked(due_s, least_s=least_s)
    if promise(job, it) or it.promise_slack_s(0.0) < 0:
        return
    earliest_s = refusal(job, it).earliest_feasible_s
    assert promise(asked(earliest_s, least_s=least_s), it)
    assert not promise(asked(0.98 * (earliest_s - 0.001), least_s=least_s), it)
