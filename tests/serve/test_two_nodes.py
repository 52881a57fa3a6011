"""A group of ranks that spans two Ray nodes: where its ranks lie, what it draws, what it survives.

Both nodes are on this machine. A Ray node is one raylet with its workers, object store and
resources, so what is not tested here is a network between them.
"""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.serve.faults import PROMPT, draw, parallel_config, replicas, until
from tests.serve.nodes import HEAD, Nodes, serve_run, two_nodes
from tests.serve.server import Server, free_port, interrupt, kill_left_over

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

READY_S = 120.0
LONG = {"tier": "slow", "num_inference_steps": 60, "seed": 3}


@dataclass(frozen=True)
class Spanned:
    """A cluster of two nodes of two GPUs each, which serves one group of four ranks."""

    server: Server
    nodes: Nodes

    def by_rank(self) -> list[str]:
        """The node of each rank, in the order of the ranks."""
        return [node for _, node in sorted(self.nodes.ranks().items())]


@pytest.fixture(scope="module")
def spanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spanned]:
    folder: Path = tmp_path_factory.mktemp("two-nodes")
    port, config = free_port(), parallel_config(folder / "config.yaml", _one_group)
    url = f"http://127.0.0.1:{port}"
    _keep_on_the_head(config, port)
    with two_nodes(url, folder / "nodes.log", num_cpus=4, num_gpus=2) as nodes:
        server = serve_run(config, nodes, url, folder / "serve.log")
        try:
            _wait_ready(server)
            yield Spanned(server, nodes)
        finally:
            try:
                interrupt(server)
                nodes.end()
            finally:
                left = kill_left_over(server)
    assert left == {}


def _one_group(pair: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        pair
        | {
            "name": "quad",
            "num_ranks": 4,
            "ranks_per_node": 2,
            "cpus_per_rank": 1,
            "parallelism_config": {"ulysses_size": 2, "ring_size": 2},
        }
    ]


def _keep_on_the_head(config: Path, port: int) -> None:
    """Proxy, gateway and router stay on the head node: the other one is to be killed."""
    document = yaml.safe_load(config.read_text())
    document |= {"proxy_location": "HeadOnly", "http_options": {"host": "127.0.0.1", "port": port}}
    options = {"num_cpus": 0.05, "resources": {HEAD: 0.01}}
    document["applications"][0]["deployments"] = [
        {"name": name, "ray_actor_options": options} for name in ("gateway", "router-shapes")
    ]
    config.write_text(yaml.safe_dump(document))


def _wait_ready(server: Server) -> float:
    def ready() -> bool:
        assert server.process.poll() is None, server.log.read_text(errors="replace")[-4000:]
        return replicas(server) == {"quad": 1}

    return until(ready, READY_S)


def test_ranks_are_ordered_by_node(spanned: Spanned) -> None:
    first, second, third, fourth = spanned.by_rank()
    assert first == second != third == fourth


def test_a_group_over_two_nodes_draws_what_one_process_draws(
    spanned: Spanned, tmp_path: Path
) -> None:
    answer = draw(spanned.server, tier="slow", seed=1)
    assert answer["receipt"]["parallelism"] == "ulysses2+ring2"
    assert answer["receipt"]["steps_computed"] == 18
    generate = [sys.executable, "-m", "deployments", "generate", "--config", "configs/demo.yaml"]
    options = ["--prompt", PROMPT, "--tier", "slow", "--seed", "1", "--out", str(tmp_path)]
    subprocess.run([*generate, *options], capture_output=True, timeout=120, check=True)
    (alone,) = tmp_path.glob("*.png")
    difference = _levels(alone.read_bytes()) - _levels(_picture(answer))
    assert np.abs(difference).max() <= 1


def test_a_node_that_dies_costs_no_caller_its_picture(spanned: Spanned) -> None:
    undisturbed = draw(spanned.server, **LONG)
    before = spanned.nodes.ranks()
    with ThreadPoolExecutor(1) as callers:
        call = callers.submit(draw, spanned.server, **LONG)
        until(lambda: _busy(spanned.server), 30)
        killed_s = time.monotonic()
        killed = spanned.nodes.kill_the_other()
        until(lambda: replicas(spanned.server) == {}, 60)
        print(f"noticed after {time.monotonic() - killed_s:.1f} s")
        added = spanned.nodes.add_another()
        _wait_ready(spanned.server)
        print(f"another group after {time.monotonic() - killed_s:.1f} s")
        answer = call.result(READY_S)
        print(f"answered after {time.monotonic() - killed_s:.1f} s")
    assert answer["data"] == undisturbed["data"]
    assert answer["receipt"]["attempts"] > 1
    after = spanned.nodes.ranks()
    assert not set(before) & set(after)
    assert killed in before.values()
    assert set(after.values()) == (set(before.values()) - {killed}) | {added}
    first, second, third, fourth = spanned.by_rank()
    assert first == second != third == fourth


def _busy(server: Server) -> bool:
    line = 'dit_serve_replicas{model="shapes",pool="quad",state="busy"} 1.0'
    with server.client() as client:
        return line in client.get("/metrics").text


def _picture(answer: dict[str, Any]) -> bytes:
    return base64.b64decode(answer["data"][0]["b64_json"])


def _levels(picture: bytes) -> np.ndarray:
    """Pixels as 0 to 255, signed, so that they can be subtracted."""
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)
