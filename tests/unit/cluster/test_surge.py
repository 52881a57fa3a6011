"""Who may start a new replica before an old one stops."""

from __future__ import annotations

from cluster.surge import surging
from placement.bundles import STRICT_PACK, GroupPlan
from placement.capacity import Demand


def on_gpus(name: str, gpus: float, replicas: int = 1) -> Demand:
    return Demand(name, GroupPlan(({"CPU": 1.0, "GPU": gpus},), STRICT_PACK), replicas)


NODE = {"CPU": 64.0, "GPU": 4.0}


def test_one_more_of_each_is_asked_for_whatever_their_number() -> None:
    assert surging([], [on_gpus("a", 2, replicas=9), on_gpus("b", 2)], [NODE]) == {"a", "b"}


def test_room_is_given_once_and_in_order() -> None:
    running = [on_gpus("a", 3), on_gpus("b", 2), on_gpus("c", 1)]
    assert surging([], running, [NODE]) == {"a", "c"}


def test_what_does_not_run_yet_comes_first() -> None:
    running = [on_gpus("a", 1), on_gpus("b", 2)]
    assert surging([on_gpus("new", 1, replicas=3)], running, [NODE]) == {"a"}
    assert surging([on_gpus("new", 1, replicas=5)], running, [NODE]) == frozenset()


def test_room_on_several_nodes_is_no_room_for_a_replica_of_one() -> None:
    halves = [{"CPU": 64.0, "GPU": 2.0}] * 2
    assert surging([], [on_gpus("a", 4), on_gpus("b", 2)], halves) == {"b"}
    assert surging([], [on_gpus("a", 1)], []) == frozenset()
