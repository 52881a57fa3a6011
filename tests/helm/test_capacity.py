"""What the chart refuses for want of room is what the planner finds no room for."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from placement.bundles import STRICT_PACK, GroupPlan, plan_group
from placement.capacity import Demand, fits
from tests.helm.engines import Helm4, RenderError

EXAMPLES = 60
GATEWAY_AND_ROUTER = GroupPlan(({"CPU": 0.05},), STRICT_PACK)


def _pool(chance: random.Random) -> dict[str, Any]:
    ranks = chance.choice([1, 1, 2, 4, 8])
    pool = {
        "name": "pool",
        "num_ranks": ranks,
        "device": chance.choice(["cuda", "cuda", "cpu"]),
        "cpus_per_rank": chance.choice([0.25, 1, 1.5, 3]),
        "autoscaling": {"min_replicas": chance.choice([1, 1, 2, 3]), "max_replicas": 9},
    }
    if pool["device"] == "cuda" and ranks == 1:
        pool["gpus_per_rank"] = chance.choice([0.5, 1])
    if ranks > 2:
        pool["ranks_per_node"] = chance.choice([2, ranks])
    return pool


def _group(chance: random.Random) -> dict[str, Any]:
    pods = chance.choice([1, 2, 4])
    return {
        "gpus": chance.choice([0, 1, 2, 4]),
        "cpu": chance.choice([2, 4, 8, 16]),
        "minReplicas": pods,
        "maxReplicas": pods,
    }


def _values(pool: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "models": [{"name": "model", "source": "somewhere", "pools": [pool]}],
        "workerGroups": {"cpu": {"enabled": False}, **groups},
    }


def _fits(pool: Mapping[str, Any], groups: Mapping[str, Any]) -> bool:
    """Whether the planner places all, a replica's ranks as many to a pod as ranks_per_node says.

    Ray itself would spread them thinner where it must; the chart takes the number at its word.
    """
    ranks, together = pool["num_ranks"], pool.get("ranks_per_node", pool["num_ranks"])
    gpus = pool.get("gpus_per_rank", 1.0) if pool["device"] == "cuda" else 0.0
    plan = plan_group(ranks, pool["cpus_per_rank"], gpus, together)
    if together < ranks:
        replica, rank = plan.bundles[:2]
        pod = {resource: amount * together for resource, amount in rank.items()}
        plan = GroupPlan((replica, *[pod] * (ranks // together)), plan.strategy)
    nodes = [
        {"CPU": float(group["cpu"]), "GPU": float(group["gpus"])}
        for group in groups.values()
        for _ in range(group["maxReplicas"])
    ]
    replicas = pool["autoscaling"]["min_replicas"]
    demands = [Demand("pool", plan, replicas), Demand("gateway and router", GATEWAY_AND_ROUTER, 2)]
    return fits(demands, nodes).ok


def _is_rendered(helm4: Helm4, values: dict[str, Any]) -> bool:
    try:
        helm4.render(over=values)
    except RenderError as error:
        said = str(error)
    else:
        return True
    assert "models[0].pools[0] (model/pool): " in said or "models: all pools" in said, said
    return False


@pytest.fixture(scope="module")
def examples(helm4: Helm4) -> list[tuple[bool, bool, dict[str, Any]]]:
    """Pools and groups at random: whether the chart is rendered, whether the planner finds room."""
    chance = random.Random(7)
    found = []
    for _ in range(EXAMPLES):
        pool = _pool(chance)
        groups = {name: _group(chance) for name in ("first", "second")[: chance.randint(1, 2)]}
        values = _values(pool, groups)
        found.append((_is_rendered(helm4, values), _fits(pool, groups), values))
    return found


def test_what_has_room_is_rendered(examples: list[tuple[bool, bool, dict[str, Any]]]) -> None:
    assert [values for rendered, room, values in examples if room and not rendered] == []
    assert sum(room for _, room, _ in examples) > EXAMPLES // 4


def test_what_is_refused_has_none(examples: list[tuple[bool, bool, dict[str, Any]]]) -> None:
    assert [values for rendered, room, values in examples if rendered and not room] == []
    assert sum(not rendered for rendered, _, _ in examples) > EXAMPLES // 4
