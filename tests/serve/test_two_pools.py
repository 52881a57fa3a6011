"""Two pools of unequal shape under one endpoint: each request goes to one that serves its tier."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.serve.server import Server, serving, wait_ready

pytestmark = pytest.mark.ray

PROMPT = "a red circle left of a blue square on a white background"


@pytest.fixture(scope="module")
def two_pools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A pool of two ranks for the best tiers, and one of a single rank for the others."""
    folder: Path = tmp_path_factory.mktemp("two-pools")
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    (model,) = document["applications"][0]["args"]["models"]
    (pool,) = model["pools"]
    model["pools"] = [
        pool
        | {
            "name": "best",
            "num_ranks": 2,
            "parallelism_config": {"ulysses_size": 2},
            "cpus_per_rank": 0.5,
            "tiers": ["none", "slow"],
        },
        pool | {"name": "quick", "cpus_per_rank": 0.5, "tiers": ["medium", "fast", "ultra"]},
    ]
    model |= {"max_queued": 4, "no_replica_s": 2.0}
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    with serving(config, folder) as server:
        yield server


def receipt(server: Server, **fields: Any) -> dict[str, Any]:
    body = {"prompt": PROMPT, "seed": 1, "num_inference_steps": 12} | fields
    with server.client() as client:
        answer = client.post("/v1/images/generations", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["receipt"])


def test_many_callers_at_once_each_get_their_tier_from_its_pool(two_pools: Server) -> None:
    wanted = ["none", "ultra", "slow", "fast"]
    pools = {"none": "best", "slow": "best", "fast": "quick", "ultra": "quick"}
    with ThreadPoolExecutor(len(wanted)) as callers:
        receipts = list(callers.map(lambda tier: receipt(two_pools, tier=tier), wanted))
    assert [(each["tier_requested"], each["pool"]) for each in receipts] == [
        (tier, pools[tier]) for tier in wanted
    ]
    assert len({each["request_id"] for each in receipts}) == len(wanted)


def test_a_busy_pool_does_not_hold_up_the_other(two_pools: Server) -> None:
    with ThreadPoolExecutor(2) as callers:
        long = callers.submit(receipt, two_pools, tier="none", num_inference_steps=100, n=4)
        short = callers.submit(receipt, two_pools, tier="ultra")
        assert short.result()["pool"] == "quick"
        assert not long.done()
        assert long.result()["pool"] == "best"


def test_a_full_line_for_one_pool_refuses_nothing_that_the_other_can_begin(
    two_pools: Server,
) -> None:
    long = {"tier": "none", "num_inference_steps": 100}
    with ThreadPoolExecutor(5) as callers:
        best = [callers.submit(receipt, two_pools, **long, seed=seed) for seed in range(5)]
        with two_pools.client() as client:
            give_up = time.monotonic() + 30
            full = 'dit_serve_queue_requests{model="shapes"} 4.0'
            while full not in client.get("/metrics").text:
                assert time.monotonic() < give_up
        assert receipt(two_pools, tier="ultra")["pool"] == "quick"
        with pytest.raises(AssertionError, match="queue_full"):
            receipt(two_pools, tier="none")
        assert all(call.result()["pool"] == "best" for call in best)


def test_a_pool_without_replica_is_told_after_a_while_and_the_other_serves_on(
    two_pools: Server,
) -> None:
    (victim,) = two_pools.replica_pids("pool-shapes-best")
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(AssertionError, match="no_replica"):
        receipt(two_pools, tier="none")
    assert receipt(two_pools, tier="ultra")["pool"] == "quick"
    wait_ready(two_pools)
    assert receipt(two_pools, tier="none")["pool"] == "best"
