"""The replicas of a pool: who is free, and how much can be done by when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.replicas import OVERDUE_S, PoolReplicas


def replicas(*names: str, load_s: float = 60.0) -> PoolReplicas:
    it = PoolReplicas(load_s)
    it.changed(names)
    return it


def test_new_replicas_are_free_and_taken_ones_are_busy_until_released():
    it = replicas("a", "b")
    assert (it.idle, it.free, len(it.busy)) == (2, True, 0)
    assert [it.take(5.0), it.take(5.0)] == ["a", "b"]
    assert (it.idle, it.free, set(it.busy)) == (0, False, {"a", "b"})
    it.release("a")
    assert (it.idle, set(it.busy)) == (1, {"b"})


def test_the_replica_that_has_been_free_the_longest_is_taken():
    it = replicas("a", "b")
    it.release(it.take(1.0))
    assert it.take(2.0) == "b"


def test_one_to_be_avoided_is_taken_only_where_no_other_is_free():
    it = replicas("a", "b")
    assert (it.free_besides({"a"}), it.free_besides({"a", "b"})) == (True, False)
    assert [it.take(5.0, {"a"}), it.take(5.0, {"a"})] == ["b", "a"]


@pytest.mark.parametrize("busy", [False, True])
def test_a_replica_that_is_gone_is_neither_free_nor_released(busy: bool):
    it = replicas("a", "b")
    if busy:
        it.take(9.0)
    it.changed(["b"])
    it.release("a")
    assert (it.running, it.idle, len(it.busy), it.work_left_s(0.0)) == ({"b"}, 1, 0, 0.0)


def test_a_replica_that_comes_back_still_has_the_job_that_it_had():
    replicas = PoolReplicas(1.0)
    replicas.changed(["a"])
    replicas.take(5.0)
    replicas.changed([])
    replicas.changed(["a"])
    assert (replicas.free, replicas.first_free_s(1.0)) == (False, 5.0)
    replicas.release("a")
    assert replicas.free


def test_a_release_without_a_job_makes_no_second_free_replica():
    it = replicas("a")
    it.release("a")
    assert it.idle == 1


def test_the_first_free_replica_is_one_now_or_the_one_that_ends_first():
    it = replicas("a", "b")
    it.take(7.0)
    assert it.first_free_s(1.0) == 1.0
    it.take(4.0)
    assert it.first_free_s(1.0) == 4.0
    assert it.first_free_s(6.0) == 6.0


def test_a_pool_without_replicas_counts_as_one_that_is_free_once_loaded():
    it = replicas(load_s=60.0)
    assert (it.count, it.first_free_s(100.0), it.supply_s(170.0, 100.0)) == (1, 160.0, 10.0)
    assert it.supply_s(150.0, 100.0) == 0.0


def test_loading_begins_when_the_first_job_waits():
    it = replicas(load_s=60.0)
    it.wake(100.0)
    it.wake(130.0)
    assert it.first_free_s(130.0) == 160.0
    assert it.first_free_s(200.0) == 200.0


@pytest.mark.parametrize("forget", ["a replica came and went", "nobody waits any more"])
def test_a_load_is_counted_anew_after_it_was_over_or_in_vain(forget: str):
    it = replicas(load_s=60.0)
    it.wake(100.0)
    if forget == "nobody waits any more":
        it.rest()
    else:
        it.changed(["a"])
        it.changed([])
    assert it.first_free_s(200.0) == 260.0


@given(
    st.lists(st.integers(0, 40), max_size=6),
    st.integers(0, 3),
    st.sets(st.integers(0, 5)),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_the_supply_is_what_each_replica_can_do_from_its_end_on(
    ends_s: list[int], free: int, released: set[int], now_s: int, until_s: int
):
    it = replicas(*(f"busy {n}" for n in range(len(ends_s))))
    taken = [(it.take(float(end_s)), end_s) for end_s in ends_s]
    it.changed([name for name, _ in taken] + [f"free {n}" for n in range(free)])
    for number, (name, _) in enumerate(taken):
        if number in released:
            it.release(name)
            it.supply_s(float(until_s), float(now_s))
    ends = [end_s for number, (_, end_s) in enumerate(taken) if number not in released]
    idle = free + len(taken) - len(ends)
    if not it.running:
        return
    each_s = [max(0, until_s - max(end_s, now_s)) for end_s in ends + [now_s] * idle]
    assert it.supply_s(float(until_s), float(now_s)) == pytest.approx(sum(each_s))
    left_s = [max(OVERDUE_S, end_s - now_s) for end_s in ends]
    assert it.work_left_s(float(now_s)) == pytest.approx(sum(left_s))
