"""Does it fit: yes only when it does, and if not, what is missing in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.bundles import GroupPlan, plan_group
from placement.capacity import Demand, Fit, fits


def gpus(name: str, ranks: int, replicas: int = 1, per_node: int | None = None) -> Demand:
    return Demand(name, plan_group(ranks, 1.0, 1.0, per_node), replicas)


def node(gpu: float, cpu: float = 32.0) -> dict[str, float]:
    return {"GPU": gpu, "CPU": cpu}


def shortfall(demands: list[Demand], nodes: list[dict[str, float]]) -> str:
    fit = fits(demands, nodes)
    assert not fit.ok
    assert fit.shortfall
    assert "\n" not in fit.shortfall
    return fit.shortfall


def test_replicas_fit_where_each_has_its_node():
    assert fits([gpus("flux/h100", 8, replicas=2)], [node(8), node(8)]) == Fit(True, "")


def test_nothing_fits_on_nothing():
    assert fits([], []).ok
    assert fits([gpus("flux/h100", 8, replicas=0)], []).ok
    assert shortfall([gpus("flux/h100", 1)], []) == (
        "1 GPU on one node are asked for by flux/h100; the largest node has 0"
    )


def test_a_group_larger_than_any_node_is_named_with_both_numbers():
    assert shortfall([gpus("flux/h100", 8)], [node(4), node(4)]) == (
        "8 GPU on one node are asked for by flux/h100; the largest node has 4"
    )


def test_a_group_that_may_span_takes_two_nodes():
    assert fits([gpus("wan/h100", 16, per_node=8)], [node(8), node(8)]).ok
    assert fits([gpus("wan/h100", 12, per_node=6)], [node(4), node(4), node(4)]).ok


def test_too_little_in_all_is_told_with_both_numbers():
    assert shortfall([gpus("a/p", 4, replicas=3)], [node(4), node(4)]) == (
        "needs 12 GPU in all, 8 are there"
    )


def test_cores_count_as_well():
    assert shortfall([gpus("a/p", 4)], [node(8, cpu=4)]) == (
        "4.1 CPU on one node are asked for by a/p; the largest node has 4"
    )


def test_resources_on_different_nodes_do_not_add_up():
    assert shortfall([gpus("a/p", 4)], [node(8, cpu=1), node(0, cpu=64)]) == (
        "4 GPU and 4.1 CPU on one node are asked for by a/p; no node has them all"
    )


def test_gaps_that_are_each_too_small_are_told_with_what_is_left():
    assert shortfall([gpus("a/p", 3, replicas=2)], [node(3), node(2), node(2)]) == (
        "a/p has room for 1 of 2 replicas; the next asks for 3 GPU and 3.1 CPU on one node, "
        "and the nodes have left: 0 GPU and 28.9 CPU, 2 GPU and 32 CPU, 2 GPU and 32 CPU"
    )


def test_groups_for_one_node_are_placed_before_those_that_may_span():
    demands = [gpus("wan/h100", 12, per_node=4), gpus("flux/h100", 8)]
    assert fits(demands, [node(8), node(4), node(4), node(4)]).ok


def test_parts_of_a_gpu_add_up_without_rounding_errors():
    tenth = Demand("a/p", plan_group(1, 0.1, 0.1), 10)
    assert fits([tenth], [node(1, cpu=1)]).ok
    assert not fits([tenth, Demand("b/p", plan_group(1, 0.1, 0), 1)], [node(1, cpu=1)]).ok


@pytest.mark.parametrize("per_node", [None, 2])
@given(replicas=st.integers(0, 5), gpu=st.integers(0, 10), cpu=st.integers(0, 20))
def test_on_one_node_all_fits_when_the_sums_do(
    per_node: int | None, replicas: int, gpu: int, cpu: int
):
    demand = Demand("a/p", plan_group(2, 1.0, 1.0, per_node, replica_cpus=1.0), replicas)
    assert fits([demand], [node(gpu, cpu)]).ok == (2 * replicas <= gpu and 3 * replicas <= cpu)


def possible(groups: Sequence[GroupPlan], free: Sequence[Mapping[str, float]]) -> bool:
    """Every way to place the groups, tried."""
    if not groups:
        return True
    group, *rest = groups
    if group.strategy == "PACK" and len(group.bundles) > 1:
        parts = [GroupPlan((bundle,), "STRICT_PACK") for bundle in group.bundles]
        return possible([*parts, *rest], free)
    for index, there in enumerate(free):
        left = {name: there.get(name, 0) - amount for name, amount in group.totals.items()}
        if min(left.values()) >= 0 and possible(
            rest, [*free[:index], {**there, **left}, *free[index + 1 :]]
        ):
            return True
    return False


DEMANDS = st.lists(
    st.builds(
        lambda ranks, gpu, spans, replicas: Demand(
            f"m/{ranks}", plan_group(ranks, 1.0, gpu, 1 if spans else None, 1.0), replicas
        ),
        st.integers(1, 3),
        st.integers(0, 2),
        st.booleans(),
        st.integers(0, 2),
    ),
    max_size=2,
)
NODES = st.lists(st.builds(node, st.integers(0, 4), st.integers(0, 6)), max_size=3)


@given(DEMANDS, NODES)
def test_what_is_said_to_fit_can_be_placed(demands: list[Demand], nodes: list[dict[str, float]]):
    fit = fits(demands, nodes)
    assert fit.ok != bool(fit.shortfall)
    if fit.ok:
        groups = [demand.group for demand in demands for _ in range(demand.replicas)]
        assert possible(groups, nodes)


@given(DEMANDS, NODES)
def test_what_can_be_placed_on_equal_nodes_of_one_rank_each_is_found(
    demands: list[Demand], nodes: list[dict[str, float]]
):
    single = [Demand(demand.name, plan_group(1, 1.0, 1), demand.replicas) for demand in demands]
    slots = sum(int(min(there["GPU"], there["CPU"])) for there in nodes)
    assert fits(single, nodes).ok == (sum(demand.replicas for demand in single) <= slots)
