"""The waiting line: who is served first, who keeps a place, and whose deadline has passed."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from cluster.queue import WaitingLine
from cluster.request import Job


def job(request_id: str, *, priority: int = 0, deadline_s: float | None = None) -> Job:
    return Job(
        request_id=request_id,
        model="shapes",
        prompt="a red circle",
        n=1,
        width=128,
        height=128,
        tier_requested="auto",
        min_tier=None,
        num_inference_steps=20,
        seed=7,
        deadline_s=deadline_s,
        priority=priority,
    )


def order(line: WaitingLine) -> str:
    return "".join(waiting.job.request_id for waiting in line)


def line_of(*jobs: Job) -> WaitingLine:
    line = WaitingLine()
    for number, each in enumerate(jobs):
        line.arrive(each, now_s=float(number))
    return line


def test_an_empty_line_has_nobody():
    line = WaitingLine()
    assert (len(line), order(line), line.take("a")) == (0, "", None)


def test_first_come_is_first_served():
    assert order(line_of(job("b"), job("a"), job("c"))) == "bac"


def test_a_higher_priority_goes_before_all_that_came_earlier():
    line = line_of(job("a"), job("b", priority=-1), job("c", priority=5), job("d"))
    assert order(line) == "cadb"


@given(st.lists(st.integers(-10, 10), max_size=20))
def test_the_line_is_by_priority_and_then_by_arrival(priorities: list[int]):
    line = line_of(*(job(str(i), priority=p) for i, p in enumerate(priorities)))
    served = [(-waiting.job.priority, int(waiting.job.request_id)) for waiting in line]
    assert served == sorted((-p, i) for i, p in enumerate(priorities))


def test_a_job_is_taken_from_wherever_it_stands_and_only_once():
    line = line_of(job("a"), job("b"), job("c"))
    taken = line.take("b")
    assert taken is not None
    assert (taken.job.request_id, order(line), len(line)) == ("b", "ac", 2)
    assert line.take("b") is None


def test_a_job_put_back_has_the_place_that_it_had():
    line = line_of(job("a"), job("b"), job("c"))
    taken = line.take("b")
    assert taken is not None
    line.arrive(job("d"), now_s=9.0)
    line.put_back(dataclasses.replace(taken, attempts=1))
    assert order(line) == "abcd"
    assert [waiting.attempts for waiting in line] == [0, 1, 0, 0]


def test_jobs_may_be_taken_while_the_line_is_walked():
    line = line_of(job("a"), job("b"), job("c"))
    for waiting in line:
        line.take(waiting.job.request_id)
    assert len(line) == 0


def test_a_deadline_runs_from_the_arrival():
    line = WaitingLine()
    assert line.arrive(job("a", deadline_s=2.5), now_s=100.0).due_s == 102.5
    assert line.arrive(job("b"), now_s=100.0).due_s is None
