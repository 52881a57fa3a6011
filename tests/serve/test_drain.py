"""A node is emptied before it is stopped: its jobs are finished, its replicas move, nothing fails.

The head runs the proxy and the gateway; router and pool are where there is room. The nodes are all
on this machine, as in `test_two_nodes`.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.serve.faults import draw, replicas, until
from tests.serve.nodes import HEAD, Nodes, serve_run, two_nodes
from tests.serve.server import Server, free_port, interrupt, kill_left_over, write_config

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

READY_S = 120.0
DRAIN_S = 90.0
LONG = {"tier": "none", "num_inference_steps": 100, "n": 3, "seed": 3}
SHORT = {"tier": "none", "num_inference_steps": 12}
CALLERS = 4


@dataclass(frozen=True)
class Emptied:
    """A cluster whose one pool runs on a node that is not the head."""

    server: Server
    nodes: Nodes

    def drain(self, *options: str) -> subprocess.CompletedProcess[str]:
        """What a preStop hook runs, beside the node instead of on it."""
        return subprocess.run(
            [sys.executable, "-m", "deployments", "drain", *options],
            capture_output=True,
            text=True,
            timeout=DRAIN_S,
            env=self.nodes.environment | {"RAY_ADDRESS": self.nodes.address()},
            check=False,
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emptied]:
    folder: Path = tmp_path_factory.mktemp("drain")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = _config(folder / "config.yaml", port)
    head = {"num_cpus": 0}
    with two_nodes(url, folder / "nodes.log", head=head, num_cpus=2) as nodes:
        server = serve_run(config, nodes, url, folder / "serve.log")
        try:
            until(lambda: _ready(server), READY_S)
            yield Emptied(server, nodes)
        finally:
            try:
                interrupt(server)
                nodes.end()
            finally:
                left = kill_left_over(server)
    assert left == {}


def _config(path: Path, port: int) -> Path:
    document = yaml.safe_load(write_config(path).read_text())
    document |= {"proxy_location": "HeadOnly", "http_options": {"host": "127.0.0.1", "port": port}}
    on_the_head = {"num_cpus": 0, "resources": {HEAD: 0.01}}
    document["applications"][0]["deployments"] = [
        {"name": "gateway", "ray_actor_options": on_the_head}
    ]
    path.write_text(yaml.safe_dump(document))
    return path


def _ready(server: Server) -> bool:
    assert server.process.poll() is None, server.log.read_text(errors="replace")[-4000:]
    return replicas(server) == {"cpu": 1}


@pytest.fixture(scope="module")
def undisturbed(cluster: Emptied) -> Any:
    """The pictures of `LONG`, made where nothing else happens."""
    return draw(cluster.server, **LONG)["data"]


def test_a_drained_node_loses_no_job_and_no_request(cluster: Emptied, undisturbed: Any) -> None:
    server, nodes = cluster.server, cluster.nodes
    drained, before = nodes.other(), set(server.replica_pids("pool-shapes-cpu"))
    nodes.add_another()
    over = threading.Event()

    def keep_asking(caller: int) -> list[dict[str, Any]]:
        answers = []
        while not over.is_set():
            answers.append(draw(server, **SHORT, user=f"caller {caller}"))
        return answers

    with ThreadPoolExecutor(CALLERS + 1) as callers:
        long = callers.submit(draw, server, **LONG)
        until(lambda: _busy(server), 30)
        streams = [callers.submit(keep_asking, caller) for caller in range(CALLERS)]
        try:
            told = cluster.drain("--node-id", drained, "--deadline-s", "80")
        finally:
            over.set()
        answers = [answer for stream in streams for answer in stream.result(60)]
        assert long.result(60)["data"] == undisturbed
    assert (told.returncode, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert any("pool-shapes-cpu" in line and "router-shapes" in line for line in lines)
    assert lines[-1] == "Drained: nothing runs on this node any more"
    assert {answer["receipt"]["attempts"] for answer in answers} == {1}
    nodes.stop(drained)
    after = set(server.replica_pids("pool-shapes-cpu"))
    assert len(after) == 1
    assert not after & before
    assert draw(server, **SHORT)["receipt"]["attempts"] == 1


def test_without_room_elsewhere_jobs_are_finished_and_the_rest_waits_for_room(
    cluster: Emptied, undisturbed: Any
) -> None:
    """And who cannot wait that long is told what still runs."""
    server, nodes = cluster.server, cluster.nodes
    with ThreadPoolExecutor(2) as callers:
        long = callers.submit(draw, server, **LONG)
        until(lambda: _busy(server), 30)
        told = cluster.drain("--node-id", nodes.other(), "--deadline-s", "2")
        assert told.returncode == 1
        assert "takes no more work" in told.stdout
        (sentence,) = told.stderr.splitlines()
        assert sentence.startswith("Not drained after 2 s: pool-shapes-cpu ")
        assert long.result(60)["data"] == undisturbed
        waiting = callers.submit(draw, server, **SHORT)
        nodes.add_another()
        assert waiting.result(60)["receipt"]["attempts"] == 1


def test_the_head_is_not_drained_and_a_node_must_be_known(cluster: Emptied) -> None:
    head = cluster.drain("--node-id", cluster.nodes.head())
    assert head.returncode == 0
    assert "This is the head node" in head.stdout
    assert draw(cluster.server, **SHORT)["receipt"]["attempts"] == 1
    for options, says in (
        ([], "node-id: several nodes of "),
        (["--node-id", "ab" * 28], f"node-id: {cluster.nodes.address()} has no node abab"),
        (["--address", f"127.0.0.1:{free_port()}"], "address: no Ray cluster answers at "),
    ):
        wrong = cluster.drain(*options)
        assert wrong.returncode == 2
        assert wrong.stderr.startswith(says)
        assert "Traceback" not in wrong.stderr


def _busy(server: Server) -> bool:
    line = 'dit_serve_replicas{model="shapes",pool="cpu",state="busy"} 1.0'
    with server.client() as client:
        return line in client.get("/metrics").text
