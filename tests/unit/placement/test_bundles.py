"""What one replica asks Ray for: a bundle for each rank, all of them on one node."""

from __future__ import annotations

import pytest

from placement.bundles import GroupPlan, plan_group


@pytest.mark.parametrize("num_ranks", [1, 2, 8])
def test_every_rank_has_a_bundle_of_its_own(num_ranks: int):
    plan = plan_group(num_ranks, cpus_per_rank=2.0, gpus_per_rank=1.0)
    assert list(plan.bundles) == [{"CPU": 2.0, "GPU": 1.0}] * num_ranks


def test_a_replica_on_cpu_asks_for_no_gpu():
    assert plan_group(2, cpus_per_rank=1.0, gpus_per_rank=0.0).bundles == ({"CPU": 1.0},) * 2


def test_the_ranks_of_a_replica_stay_on_one_node():
    assert plan_group(4, cpus_per_rank=1.0, gpus_per_rank=1.0).strategy == "STRICT_PACK"


def test_a_plan_totals_what_its_bundles_take_together():
    assert plan_group(4, cpus_per_rank=0.5, gpus_per_rank=1.0).totals == {"CPU": 2.0, "GPU": 4.0}


def test_totals_count_a_resource_that_only_some_bundles_take():
    plan = GroupPlan(({"CPU": 1.0}, {"CPU": 1.0, "GPU": 1.0}, {"GPU": 1.0}), "PACK")
    assert plan.totals == {"CPU": 2.0, "GPU": 2.0}
