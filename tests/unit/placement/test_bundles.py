"""What one replica asks Ray for: a bundle for each rank and, beside them, one for itself."""

from __future__ import annotations

import pytest

from placement.bundles import GroupPlan, plan_group
from placement.parallel import PlacementError


def test_one_rank_is_the_replica_itself_in_one_bundle():
    plan = plan_group(1, cpus_per_rank=2.0, gpus_per_rank=1.0)
    assert plan.bundles == ({"CPU": 2.0, "GPU": 1.0},)
    assert plan.rank_bundles == (0,)
    assert plan.strategy == "STRICT_PACK"


@pytest.mark.parametrize("num_ranks", [2, 8])
def test_more_ranks_have_a_bundle_each_beside_the_replicas_own(num_ranks: int):
    plan = plan_group(num_ranks, cpus_per_rank=2.0, gpus_per_rank=1.0)
    assert plan.bundles == ({"CPU": 0.1}, *({"CPU": 2.0, "GPU": 1.0},) * num_ranks)
    assert plan.rank_bundles == tuple(range(1, num_ranks + 1))


def test_the_replica_may_have_more_of_a_core():
    assert plan_group(2, 1.0, 0, replica_cpus=0.5).bundles[0] == {"CPU": 0.5}


def test_a_replica_on_cpu_asks_for_no_gpu():
    assert plan_group(2, cpus_per_rank=1.0, gpus_per_rank=0.0).totals == {"CPU": 2.1}


@pytest.mark.parametrize(
    ("num_ranks", "ranks_per_node", "strategy"),
    [
        (4, None, "STRICT_PACK"),
        (4, 4, "STRICT_PACK"),
        (4, 8, "STRICT_PACK"),
        (4, 2, "PACK"),
        (4, 1, "PACK"),
        (1, 1, "STRICT_PACK"),
    ],
)
def test_the_ranks_stay_on_one_node_unless_nodes_hold_fewer(
    num_ranks: int, ranks_per_node: int | None, strategy: str
):
    assert plan_group(num_ranks, 1.0, 1.0, ranks_per_node).strategy == strategy


@pytest.mark.parametrize(
    ("num_ranks", "ranks_per_node", "says"),
    [
        (8, 3, "8 ranks do not divide by ranks_per_node 3"),
        (8, 0, "ranks_per_node must be at least 1, not 0"),
        (0, None, "num_ranks must be at least 1, not 0"),
    ],
)
def test_numbers_that_do_not_go_together_are_refused(
    num_ranks: int, ranks_per_node: int | None, says: str
):
    with pytest.raises(PlacementError, match=says):
        plan_group(num_ranks, 1.0, 1.0, ranks_per_node)


def test_a_plan_totals_what_its_bundles_take_together():
    plan = plan_group(4, cpus_per_rank=0.5, gpus_per_rank=1.0, replica_cpus=0.25)
    assert plan.totals == {"CPU": 2.25, "GPU": 4.0}


def test_totals_count_a_resource_that_only_some_bundles_take():
    plan = GroupPlan(({"CPU": 1.0}, {"CPU": 1.0, "GPU": 1.0}, {"GPU": 1.0}), "PACK")
    assert plan.totals == {"CPU": 2.0, "GPU": 2.0}
