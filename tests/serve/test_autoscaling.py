"""Pools that follow the load: one that sleeps until it is asked for, one that grows and shrinks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.serve.faults import deaths, draw, replicas, until
from tests.serve.server import Server, serving

pytestmark = pytest.mark.ray

IDLE_S = 3.0
START_S = 90.0
"""More than a replica takes to load here."""

LONG = {"tier": "medium", "num_inference_steps": 100, "n": 8}
CALLERS = 4
"""Enough to wait for a second replica."""


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Pool `rare` for tier none sleeps; pool `usual` has one or two replicas."""
    folder: Path = tmp_path_factory.mktemp("autoscaling")
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    (model,) = document["applications"][0]["args"]["models"]
    (pool,) = model["pools"]
    small = pool | {"cpus_per_rank": 0.3}
    rare = {"min_replicas": 0, "max_replicas": 1, "idle_to_zero_s": IDLE_S}
    usual = {"min_replicas": 1, "max_replicas": 2, "catch_up_s": 3.0, "downscale_delay_s": 0.5}
    model["pools"] = [
        small | {"name": "rare", "tiers": ["none"], "autoscaling": rare},
        small | {"name": "usual", "tiers": ["medium", "fast"], "autoscaling": usual},
    ]
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    with serving(config, folder) as server:
        yield server


def test_a_pool_sleeps_until_its_tier_is_asked_for_and_sleeps_again(pools: Server) -> None:
    assert replicas(pools) == {"rare": 0, "usual": 1}
    assert draw(pools, tier="none")["receipt"]["pool"] == "rare"
    until(lambda: replicas(pools) == {"rare": 0, "usual": 1}, IDLE_S + 10)
    until(lambda: not pools.replica_pids("pool-shapes-rare"), 10)
    assert deaths(pools, "rare") == 0
    assert draw(pools, tier="none")["receipt"]["attempts"] == 1


def test_a_pool_grows_under_load_and_shrinks_without_cutting_a_job(pools: Server) -> None:
    undisturbed = draw(pools, **LONG)
    with ThreadPoolExecutor(CALLERS) as callers:
        calls = [callers.submit(draw, pools, **LONG) for _ in range(CALLERS)]
        until(lambda: replicas(pools)["usual"] == 2, START_S)
        until(lambda: replicas(pools)["usual"] == 1, START_S)
        answers = [call.result() for call in calls]
    assert [answer["data"] for answer in answers] == [undisturbed["data"]] * CALLERS
    assert {answer["receipt"]["attempts"] for answer in answers} == {1}
    until(lambda: len(pools.replica_pids("pool-shapes-usual")) == 1, 10)
    assert deaths(pools, "usual") == 0
