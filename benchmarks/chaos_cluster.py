"""The cluster that is put under faults: two Ray nodes, two pools of two ranks, clips, PostgreSQL.

Results lie on a filesystem of their own where one can be mounted, so that it can be filled.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from cluster.keys import Scope
from deployments import options, proxy_bounds
from deployments.key_store import new_key
from deployments.key_table import KeyTable
from tests.serve.clips import clips_model
from tests.serve.faults import parallel_config, until, variables
from tests.serve.nodes import Nodes, serve_run, two_nodes
from tests.serve.server import Server, free_port, interrupt, kill_left_over
from tests.storage_sql.postgres import PostgresMissing, PostgresServer

START_S = 240.0
DISK = "16m"
"""The size of the filesystem of results."""

GATEWAYS = 2
MOST_QUEUED = 40
"""So a load that a slow machine cannot carry is refused, instead of a line that grows."""

HEAD_GPUS, NODE_GPUS = 4, 2
"""Three replicas of two ranks fill both nodes."""

_ROLES = {
    "raylet": "/raylet/raylet ",
    "rank": "RankWorker",
    "controller": "ServeController",
    "proxy": "ProxyActor",
}
_WELL, _RUNS = "HEALTHY", "RUNNING"
_REPLICA = re.compile(r"ServeReplica:dit-serve:([\w-]+)")


@dataclass(frozen=True)
class Stage:
    """The running cluster and what faults need of it. `dashboard` is Ray's, with its token."""

    server: Server
    dashboard: str
    token: str
    nodes: Nodes | None = None
    database: PostgresServer | None = None
    disk: Path | None = None
    key: str | None = None

    def pids(self) -> dict[str, list[int]]:
        """Process ids by role: `raylet`, `rank`, `controller`, `proxy`, or a deployment's name."""
        found: dict[str, list[int]] = {}
        for pid, line in sorted(self.server.processes().items()):
            if (role := _role(line)) is not None:
                found.setdefault(role, []).append(pid)
        return found

    def running(self) -> dict[str, int]:
        """How many processes each role has, and how many replicas of each pool take requests.

        Also what Serve's controller says: replicas that run, and proxies that are well.
        """
        ready = {f"{pool} ready": count for pool, count in _ready(self.server).items()}
        told = {f"{what} for Serve": count for what, count in self._as_serve_says().items()}
        return {role: len(pids) for role, pids in self.pids().items()} | ready | told

    def _as_serve_says(self) -> Counter[str]:
        """Empty while the controller does not answer."""
        try:
            answer = httpx.get(
                f"{self.dashboard}/api/serve/applications/",
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=5,
            )
        except httpx.TransportError:
            return Counter()
        if answer.status_code != 200:
            return Counter()
        serve = answer.json()
        found = Counter("proxy" for each in serve["proxies"].values() if each["status"] == _WELL)
        for application in serve["applications"].values():
            for name, deployment in application["deployments"].items():
                running = sum(each["state"] == _RUNS for each in deployment["replicas"])
                found[name] += running
        return found

    def inventory(self) -> dict[str, int]:
        """What `running` counts, with Ray's own count of actors and placement groups."""
        if self.nodes is None:
            return self.running()
        alive = {f"{kind} in Ray": count for kind, count in self.nodes.alive().items()}
        return self.running() | alive


def _ready(server: Server) -> dict[str, int]:
    """Replicas that take requests, by pool; empty while no gateway says so."""
    try:
        with httpx.Client(verify=False, timeout=10) as client:
            answer = client.get(f"{server.url}/ready")
    except httpx.TransportError:
        return {}
    if answer.status_code != 200:
        return {}
    models = answer.json()["replicas"].values()
    return {pool: count for pools in models for pool, count in pools.items()}


def _role(line: str) -> str | None:
    if (replica := _REPLICA.search(line)) is not None:
        return replica[1]
    return next((role for role, words in _ROLES.items() if words in line), None)


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """The cluster, ready; at the end it is stopped, and what it left behind is killed and told.

    Raises AssertionError when it does not start, or leaves processes behind.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as held:
        disk = held.enter_context(_filesystem(folder / "results"))
        database = held.enter_context(_database())
        address = f"sqlite:///{folder / 'jobs.db'}" if database is None else database.new_database()
        config = _config(folder, port)
        key = _new_key(address)
        more = {name: value for name, value in variables(gpus=0).items() if "RESOURCES" not in name}
        more |= options.VARIABLES | proxy_bounds.VARIABLES | {"DIT_CHAOS_DATABASE": address}
        head: dict[str, float] = {"num_cpus": 8, "num_gpus": HEAD_GPUS}
        nodes = held.enter_context(
            two_nodes(
                url, folder / "nodes.log", head=head, more=more, num_cpus=8, num_gpus=NODE_GPUS
            )
        )
        server = serve_run(config, nodes, url, folder / "serve.log")
        left: dict[int, str] = {}
        try:
            until(lambda: _is_whole(server), START_S)
            token = nodes.environment["RAY_AUTH_TOKEN"]
            yield Stage(server, nodes.dashboard_url(), token, nodes, database, disk, key)
        finally:
            try:
                interrupt(server)
                nodes.end()
            finally:
                left = kill_left_over(server)
        assert left == {}, f"left behind: {left}"


def _is_whole(server: Server) -> bool:
    assert server.process.poll() is None, server.log.read_text(errors="replace")[-4000:]
    return _ready(server) == {"pair": 2, "twin": 1, "cpu": 1}


def _config(folder: Path, port: int) -> Path:
    path = parallel_config(folder / "config.yaml", _pools)
    document = yaml.safe_load(path.read_text())
    args = document["applications"][0]["args"]
    args["models"][0]["max_queued"] = MOST_QUEUED
    args["models"].append(clips_model(folder))
    args |= {
        "auth": {"keys": "database"},
        "database_url": "env:DIT_CHAOS_DATABASE",
        "gateways": GATEWAYS,
        "results": {"url": str(folder / "results")},
    }
    document |= {"proxy_location": "HeadOnly", "http_options": {"host": "127.0.0.1", "port": port}}
    path.write_text(yaml.safe_dump(document))
    return path


def _pools(pair: dict[str, Any]) -> list[dict[str, Any]]:
    pair |= {"watchdog": {"min_s": 5.0, "multiple": 2, "unknown_s": 30}}
    two = {"autoscaling": {"min_replicas": 2, "max_replicas": 2}, "tiers": ["none", "fast"]}
    return [pair | two, pair | {"name": "twin", "tiers": ["slow", "medium"]}]


@contextmanager
def _filesystem(folder: Path) -> Iterator[Path | None]:
    """Mounts a small filesystem there; None where this user may not."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, timeout=20, check=False).returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], timeout=20, check=True)


@contextmanager
def _database() -> Iterator[PostgresServer | None]:
    """A PostgreSQL server; None where there is none on this machine."""
    try:
        server = PostgresServer()
    except PostgresMissing:
        yield None
        return
    try:
        yield server
    finally:
        server.close()


def _new_key(database_url: str) -> str:
    text, key = new_key("chaos", [Scope.GENERATE], datetime.now(UTC), None)
    table = KeyTable(database_url)
    table.add(key)
    table.close()
    return text
