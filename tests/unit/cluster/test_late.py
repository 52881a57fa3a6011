"""The late jobs: shortest work first, ageing, callers in turn, and a turn for the oldest."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.late import AGEING, LATE_TURN, PATIENCE, SHORTEST_TURN, LateLine, late_turn
from cluster.queue import Waiting
from tests.unit.cluster.jobs import waiting


def line_of(*jobs: Waiting) -> LateLine:
    it = LateLine()
    for each in jobs:
        it.add(each)
    return it


def order(it: LateLine, *pools: str) -> list[int]:
    """Numbers of all that these pools would serve, as they come."""
    numbers = []
    while first := it.first(pools or ("p",)):
        it.remove(first)
        it.served(first)
        numbers.append(first.number)
    return numbers


def test_nobody_is_late_in_an_empty_line():
    it = LateLine()
    assert (len(it), it.first(["p"]), it.entitled(["p"], 1e9)) == (0, None, None)
    assert not it.remove(waiting(1))


def test_the_shortest_work_comes_first_and_then_who_came_first():
    jobs = (waiting(1, least_s=3.0), waiting(2, least_s=1.0), waiting(3, least_s=1.0))
    assert order(line_of(*jobs)) == [2, 3, 1]


def test_having_been_due_for_long_makes_up_for_longer_work():
    long = waiting(1, least_s=3.0, due_s=10.0)
    soon = waiting(2, least_s=1.0, due_s=10.0 + 0.9 * 2.0 / AGEING)
    later = waiting(3, least_s=1.0, due_s=10.0 + 1.1 * 2.0 / AGEING)
    assert order(line_of(long, soon, later)) == [2, 1, 3]


def test_callers_take_turns_by_the_work_done_for_them():
    crowd = [waiting(number, least_s=1.0, caller="crowd") for number in range(6)]
    others = [waiting(number, least_s=2.0, caller="someone") for number in range(6, 9)]
    served = order(line_of(*crowd, *others))
    seconds = [1.0 if number < 6 else 2.0 for number in served]
    assert sum(seconds[:6]) / 2 == 4.0
    assert sorted(served[:6]) == [0, 1, 2, 3, 6, 7]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from([1.0, 2.0, 5.0])), min_size=1, max_size=30
    )
)
def test_while_both_wait_no_caller_is_ahead_by_more_than_one_long_job(
    jobs: list[tuple[str, float]],
):
    there = [waiting(n, caller=caller, least_s=s) for n, (caller, s) in enumerate(jobs)]
    by_number = {each.number: each for each in there}
    left = {caller: sum(each.job.caller == caller for each in there) for caller in "ab"}
    had_s = dict.fromkeys("ab", 0.0)
    for number in order(line_of(*there)):
        if not all(left.values()):
            break
        caller = by_number[number].job.caller
        had_s[caller] += by_number[number].least_s
        left[caller] -= 1
        assert abs(had_s["a"] - had_s["b"]) <= 5.0


def test_a_caller_that_comes_later_gets_no_credit_for_the_time_when_it_was_away():
    crowd = [waiting(number, caller="crowd") for number in range(8)]
    it = line_of(*crowd)
    for each in crowd[:4]:
        it.remove(each)
        it.served(each)
    for number in range(8, 12):
        it.add(waiting(number, caller="someone"))
    callers = ["crowd" if number < 8 else "someone" for number in order(it)]
    assert all(one != other for one, other in pairwise(callers))


def test_a_pool_is_given_only_what_it_serves():
    it = line_of(
        waiting(1, pools=("p",)),
        waiting(2, pools=("q",), least_s=0.5),
        waiting(3, pools=("p", "q"), least_s=2.0),
    )
    assert it.first(["r"]) is None
    assert order(it, "p") == [1, 3]
    assert order(it, "p", "q") == [2]


def test_beyond_patience_the_one_that_has_been_so_the_longest_is_entitled_to_a_turn():
    first = waiting(1, arrived_s=0.0, due_s=10.0, least_s=10.0)
    second = waiting(2, arrived_s=5.0, due_s=6.0, least_s=0.5)
    it = line_of(first, second)
    assert it.entitled(["p"], 5.0 + PATIENCE * 1.0 - 0.1) is None
    assert it.entitled(["p"], 5.0 + PATIENCE * 1.0) is second
    it.remove(second)
    assert it.entitled(["p"], PATIENCE * 10.0 - 0.1) is None
    assert it.entitled(["p"], PATIENCE * 10.0) is first
    assert it.entitled(["q"], 1e9) is None


@pytest.mark.parametrize(("had_s", "counts_s"), [(0.5, 2.0), (2.0, 2.0), (5.0, 5.0), (3600.0, 6.0)])
def test_how_late_a_job_must_be_to_be_entitled_goes_by_what_it_had_within_bounds(
    had_s: float, counts_s: float
):
    """No less than its shortest work, here 2 s, and no more than three times that."""
    one = waiting(1, due_s=had_s, least_s=2.0)
    entitled_s = had_s + (PATIENCE - 1.0) * counts_s
    assert line_of(one).entitled(["p"], entitled_s - 0.1) is None
    assert line_of(one).entitled(["p"], entitled_s) is one


def test_twice_as_late_the_turn_comes_twice_as_often_and_never_more_than_every_second():
    one = waiting(1, due_s=3.0, least_s=1.0)
    patience_s = (PATIENCE - 1.0) * 3.0
    turns = [late_turn(one, 3.0 + times * patience_s) for times in (0.1, 1, 2, 4, 10, 100)]
    assert turns == [LATE_TURN, LATE_TURN, LATE_TURN / 2, LATE_TURN / 4, SHORTEST_TURN, 2.0]


def test_the_share_to_leave_for_the_late_is_that_of_the_time_in_question():
    it = line_of(waiting(1, due_s=3.0), waiting(2, due_s=9.0), waiting(3, pools=("q",)))
    patience_s = (PATIENCE - 1.0) * 3.0
    share = it.share("p")
    assert [share(3.0 + times * patience_s) for times in (0.0, 1.0, 4.0, 50.0)] == [
        1 / LATE_TURN,
        1 / LATE_TURN,
        4 / LATE_TURN,
        1 / SHORTEST_TURN,
    ]
    assert it.share("r") is None


def test_a_job_taken_out_may_come_back():
    one = waiting(1)
    it = line_of(one)
    assert it.remove(one)
    assert (len(it), it.first(["p"])) == (0, None)
    it.add(one)
    assert (len(it), it.first(["p"])) == (1, one)


def test_a_cleared_line_is_empty():
    it = line_of(waiting(1), waiting(2))
    it.clear()
    assert (len(it), order(it)) == (0, [])


def test_those_that_are_gone_are_forgotten_though_nobody_is_entitled():
    it = LateLine()
    for number in range(100):
        each = waiting(number, due_s=float(number))
        it.add(each)
        assert it.first(["p"]) is each
        it.remove(each)
    it.first(["p"])
    (lane,) = it._lanes.values()
    assert not lane._oldest
