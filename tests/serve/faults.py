"""What a test and a benchmark of failing ranks do alike: a steady load, a fault, and the wait."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.serve.server import Server

PROMPT = "a red circle left of a blue square on a white background"
REQUESTS = 20
CALLERS = 4
OUT_OF_MEMORY = signal.SIGRTMIN + 1
"""To a rank of a cluster with `variables`."""


@dataclass
class Load:
    """Requests that follow each other, and what became of them."""

    answers: list[dict[str, Any]]
    failures: list[str]


def variables(gpus: int) -> dict[str, str]:
    """The environment of a cluster whose ranks are to fail: a larger machine than this one.

    What its ranks do at a signal, while they work: at SIGUSR2 one raises MemoryError, at SIGUSR1
    its weights give NaN from then on, at SIGRTMIN+1 (`OUT_OF_MEMORY`) its allocator refuses once.
    Ray's log leaves out no line that names a rank's process.
    """
    folders = ["tests/serve/raising", os.environ.get("PYTHONPATH", "")]
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        "RAY_DEDUP_LOGS": "0",
        "RAY_OVERRIDE_RESOURCES": json.dumps({"CPU": 16, "GPU": gpus}),
    }


def parallel_config(path: Path, pools: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> Path:
    """The demo's config of two ranks with other pools, made of its one, on fake GPUs."""
    document = yaml.safe_load(Path("configs/demo-parallel.yaml").read_text())
    (model,) = document["applications"][0]["args"]["models"]
    (pair,) = model["pools"]
    model["pools"] = pools(pair | {"gpus_per_rank": 1})
    path.write_text(yaml.safe_dump(document))
    return path


def draw(server: Server, **fields: Any) -> dict[str, Any]:
    with server.client() as client:
        answer = client.post("/v1/images/generations", json={"prompt": PROMPT, "seed": 1} | fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def replicas(server: Server) -> dict[str, int]:
    """Running replicas by pool; empty while some pool has none."""
    try:
        answer = httpx.get(f"{server.url}/ready", timeout=10)
    except httpx.TransportError:
        return {}
    return dict(answer.json()["replicas"]["shapes"]) if answer.status_code == 200 else {}


def deaths(server: Server, pool: str) -> float:
    """Replicas of a pool that have died, as the metrics say."""
    return _counted(server, rf'dit_serve_replica_deaths_total{{.*pool="{pool}"}}')


def outputs_refused(server: Server, pool: str) -> float:
    """Results of a pool at tier `none` that were kept back, as the metrics say."""
    return _counted(server, rf'dit_serve_outputs_refused_total{{.*pool="{pool}",tier="none"}}')


def _counted(server: Server, series: str) -> float:
    counted = httpx.get(f"{server.url}/metrics", timeout=30).text
    found = re.search(rf"{series} (\S+)", counted)
    assert found is not None, counted
    return float(found[1])


def until(condition: Callable[[], bool], timeout_s: float) -> float:
    """Seconds until the condition holds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s, "waited in vain"
        time.sleep(0.05)
    return time.monotonic() - started


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

    with ThreadPoolExecutor(CALLERS) as callers:
        calls = [callers.submit(call, seed) for seed in range(REQUESTS)]
        assert quarter.wait(120)
        disturb()
        load.answers = [each.result() for each in calls]
    return load


def ranks_of_a_replica(server: Server, pool: str) -> list[int]:
    """The processes of the ranks of a living replica, in their order, as the log names them."""
    log = server.log.read_text(errors="replace")
    living, by_replica = set(server.rank_pids()), defaultdict[str, dict[int, int]](dict)
    for replica, rank, pid in re.findall(rf"\(shapes/{pool} (\w+) rank (\d+) pid=(\d+)\)", log):
        if int(pid) in living:
            by_replica[replica][int(rank)] = int(pid)
    ranks = max(by_replica.values(), key=len)
    return [ranks[rank] for rank in sorted(ranks)]
