"""Replicas of several ranks, with real Ray, fake GPUs and gloo: what they draw, and what they survive.

Two pools stand under one endpoint: two replicas of two ranks, and one of four.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.serve.server import Server, serving

pytestmark = pytest.mark.ray

PROMPT = "a red circle left of a blue square on a white background"
STALLED_S = 3.0
REQUESTS = 20
RECOVERED_S = 15.0


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    document = yaml.safe_load(Path("configs/demo-parallel.yaml").read_text())
    (model,) = document["applications"][0]["args"]["models"]
    (pair,) = model["pools"]
    pair |= {
        "gpus_per_rank": 1,
        "autoscaling": {"min_replicas": 2, "max_replicas": 2},
        "watchdog": {"min_s": STALLED_S, "multiple": 2, "unknown_s": 30},
        "tiers": ["none", "fast", "ultra"],
    }
    quad = pair | {
        "name": "quad",
        "num_ranks": 4,
        "parallelism_config": {"ulysses_size": 2, "ring_size": "auto"},
        "autoscaling": {"min_replicas": 1, "max_replicas": 1},
        "tiers": ["slow", "medium"],
    }
    model["pools"] = [pair, quad]
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    machine = {"RAY_OVERRIDE_RESOURCES": json.dumps({"CPU": 16, "GPU": 8})}
    with serving(config, folder, PYTHONPATH="tests/serve/raising", **machine) as server:
        yield server


def draw(server: Server, **fields: Any) -> dict[str, Any]:
    with server.client() as client:
        answer = client.post("/v1/images/generations", json={"prompt": PROMPT, "seed": 1} | fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def replicas(server: Server) -> dict[str, int]:
    try:
        answer = httpx.get(f"{server.url}/ready", timeout=10)
    except httpx.TransportError:
        return {}
    return dict(answer.json()["replicas"]["shapes"]) if answer.status_code == 200 else {}


def until(condition: Callable[[], bool], timeout_s: float) -> float:
    """Seconds until the condition holds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s, "waited in vain"
        time.sleep(0.05)
    return time.monotonic() - started


def test_each_pool_serves_its_tiers_in_its_shape(ranks: Server) -> None:
    pair = draw(ranks, tier="none")["receipt"]
    quad = draw(ranks, tier="slow")["receipt"]
    assert (pair["pool"], pair["parallelism"]) == ("pair", "ulysses2")
    assert (quad["pool"], quad["parallelism"]) == ("quad", "ulysses2+ring2")
    assert (pair["steps_computed"], quad["steps_computed"]) == (28, 18)


def test_a_group_draws_the_same_bytes_each_time(ranks: Server) -> None:
    first, again = draw(ranks, tier="ultra"), draw(ranks, tier="ultra")
    assert first["data"] == again["data"]


def test_a_caller_that_goes_away_stops_all_ranks_and_leaves_nothing_behind(ranks: Server) -> None:
    before = draw(ranks, tier="slow")["data"]
    with ranks.client(timeout_s=1.0) as client, pytest.raises(httpx.ReadTimeout):
        client.post(
            "/v1/images/generations",
            json={"prompt": PROMPT, "tier": "slow", "num_inference_steps": 100, "n": 8},
        )
    pids = ranks.rank_pids()
    assert draw(ranks, tier="slow")["data"] == before
    assert ranks.rank_pids() == pids


@dataclass
class Load:
    """Requests that follow each other, and what became of them."""

    answers: list[dict[str, Any]]
    failures: list[str]


def steady_load(server: Server, disturb: Callable[[], None]) -> Load:
    """Twenty requests from four callers; `disturb` is called when a quarter is done."""
    load = Load([], [])
    quarter = threading.Event()

    def call(seed: int) -> dict[str, Any]:
        try:
            answer = draw(server, tier="none", num_inference_steps=12, seed=seed)
        except (AssertionError, httpx.HTTPError) as error:
            load.failures.append(f"seed {seed}: {error}")
            return {}
        if seed >= REQUESTS // 4:
            quarter.set()
        return answer

    with ThreadPoolExecutor(4) as callers:
        calls = [callers.submit(call, seed) for seed in range(REQUESTS)]
        assert quarter.wait(120)
        disturb()
        load.answers = [each.result() for each in calls]
    return load


@pytest.fixture(scope="module")
def undisturbed(ranks: Server) -> list[Any]:
    return [answer["data"] for answer in steady_load(ranks, lambda: None).answers]


@pytest.mark.parametrize(
    ("fault", "noticed_s"),
    [(signal.SIGKILL, 0.0), (signal.SIGUSR2, 2.0), (signal.SIGSTOP, STALLED_S)],
    ids=["killed", "raises", "stopped"],
)
def test_a_rank_that_fails_costs_no_caller_its_picture(
    ranks: Server, undisturbed: list[Any], fault: signal.Signals, noticed_s: float
) -> None:
    group = _ranks_of_a_replica(ranks, "pair")
    happened_s = 0.0

    def disturb() -> None:
        nonlocal happened_s
        happened_s = time.monotonic()
        os.kill(group[-1], fault)

    load = steady_load(ranks, disturb)
    until(lambda: not set(group) & set(ranks.rank_pids()), 60)
    until(lambda: replicas(ranks) == {"pair": 2, "quad": 1}, 120)
    took_s = time.monotonic() - happened_s
    assert load.failures == []
    assert [answer["data"] for answer in load.answers] == undisturbed
    assert any(answer["receipt"]["attempts"] > 1 for answer in load.answers)
    print(f"{fault.name}: recovered after {took_s:.1f} s")


def _ranks_of_a_replica(server: Server, pool: str) -> list[int]:
    """The processes of the ranks of a living replica, in their order, as the log names them."""
    log = server.log.read_text(errors="replace")
    living, by_replica = set(server.rank_pids()), defaultdict[str, dict[int, int]](dict)
    for replica, rank, pid in re.findall(rf"\(shapes/{pool} (\w+) rank (\d+) pid=(\d+)\)", log):
        if int(pid) in living:
            by_replica[replica][int(rank)] = int(pid)
    ranks = next(iter(by_replica.values()))
    return [ranks[rank] for rank in sorted(ranks)]
