"""Ray nodes of their own for a test: several on this machine, of which one can be killed.

Run as a module it holds them, in a process whose environment they share, and obeys the lines that
come in: each is answered by one line of JSON. When its input ends, so do the nodes.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.serve.server import Server

HEAD = "head"
"""A resource that only the head node has."""

ANSWER_S = 60.0
END_S = 30.0


def environment(mark: str) -> dict[str, str]:
    """What all processes of the nodes and of their drivers share: a secret, and the test's mark."""
    return os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONUNBUFFERED": "1",
        "DIT_SERVE_TEST": mark,
    }


@dataclass(frozen=True)
class Nodes:
    """The nodes, and the environment in which they and their drivers run."""

    environment: dict[str, str]
    _holder: subprocess.Popen[str]

    def address(self) -> str:
        """Where a driver finds the cluster."""
        return str(self._ask("address"))

    def dashboard_url(self) -> str:
        """Where Ray's dashboard listens."""
        return str(self._ask("dashboard"))

    def ranks(self) -> dict[str, str]:
        """The node id of each rank that lives, by its name: MODEL/POOL REPLICA rank K."""
        return dict(self._ask("ranks"))

    def raylet_of_the_other(self) -> int:
        """The process of the newest node's raylet."""
        return int(self._ask("raylet"))

    def kill_the_other(self) -> str:
        """Kills the node that is not the head, at once; returns its id."""
        return str(self._ask("kill"))

    def alive(self) -> dict[str, int]:
        """How many actors of each class live, and how many placement groups are not removed."""
        return dict(self._ask("alive"))

    def head(self) -> str:
        """The id of the head node."""
        return str(self._ask("head"))

    def other(self) -> str:
        """The id of the node that is not the head, of several the newest."""
        return str(self._ask("other"))

    def add_another(self) -> str:
        """Adds a node like the other one; returns its id."""
        return str(self._ask("add"))

    def stop(self, node_id: str) -> int:
        """Ends a node as SIGTERM does, and waits for it; returns how many nodes are left."""
        return int(self._ask(f"stop {node_id}"))

    def end(self) -> None:
        """Ends both nodes and waits for it."""
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        try:
            self._holder.wait(END_S)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        self._holder.stdout.close()

    def _ask(self, what: str) -> Any:
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        print(what, file=self._holder.stdin, flush=True)
        answered, _, _ = select.select([self._holder.stdout], [], [], ANSWER_S)
        assert answered, f"the nodes' holder does not answer to {what!r}"
        line = self._holder.stdout.readline()
        assert line, f"the nodes' holder ended, status {self._holder.wait(END_S)}"
        return json.loads(line)


def serve_run(config: Path, nodes: Nodes, url: str, log: Path) -> Server:
    """`serve run` of a config on these nodes; whoever starts it ends it."""
    # The process that only holds the nodes needs none of this.
    from deployments.launch import listen_to_interrupts

    command = [sys.executable, "-m", "ray.serve.scripts", "run", str(config)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=nodes.environment | {"RAY_ADDRESS": nodes.address()},
            preexec_fn=listen_to_interrupts,
        )
    return Server(url, log, log, process)


@contextmanager
def two_nodes(
    mark: str,
    errors: Path,
    *,
    head: dict[str, float] | None = None,
    more: Mapping[str, str] | None = None,
    **node: float,
) -> Iterator[Nodes]:
    """Two nodes with resources such as num_cpus and num_gpus; the head's are the same if None.

    `more` are variables for the environment of all their processes.
    """
    variables = environment(mark) | dict(more or {})
    settings = json.dumps({"head": head or node, "node": node})
    command = [sys.executable, "-m", "tests.serve.nodes", settings]
    with errors.open("w") as log:
        holder = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=variables,
        )
        nodes = Nodes(variables, holder)
        try:
            yield nodes
        finally:
            nodes.end()


def _hold(head: dict[str, Any], node: dict[str, Any]) -> None:
    from ray.cluster_utils import Cluster
    from ray.util.state import list_actors, list_placement_groups

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    cluster = Cluster()
    cluster.add_node(**head, resources={HEAD: 1}, dashboard_port=0)
    other = cluster.add_node(**node)
    others = {other.node_id: other}
    asked = {"address": f"http://{cluster.webui_url}", "limit": 10_000, "timeout": 10}
    for line in sys.stdin:
        answer: Any
        match line.split():
            case ["address"]:
                answer = cluster.address
            case ["dashboard"]:
                answer = f"http://{cluster.webui_url}"
            case ["head"]:
                answer = cluster.head_node.node_id
            case ["other"]:
                answer = other.node_id
            case ["ranks"]:
                actors = list_actors(
                    address=f"http://{cluster.webui_url}",
                    filters=[("class_name", "=", "RankWorker"), ("state", "=", "ALIVE")],
                    detail=True,
                    timeout=10,
                )
                answer = {actor.repr_name: actor.node_id for actor in actors}
            case ["alive"]:
                actors = list_actors(filters=[("state", "=", "ALIVE")], **asked)
                groups = list_placement_groups(filters=[("state", "!=", "REMOVED")], **asked)
                answer = Counter(actor.class_name for actor in actors)
                answer["placement groups"] = len(groups)
            case ["raylet"]:
                answer = other.all_processes["raylet"][0].process.pid
            case ["kill"]:
                answer = other.node_id
                cluster.remove_node(others.pop(answer), allow_graceful=False)
            case ["add"]:
                other = cluster.add_node(**node)
                others[other.node_id] = other
                answer = other.node_id
            case ["stop", node_id]:
                cluster.remove_node(others.pop(node_id), allow_graceful=True)
                answer = 1 + len(others)
        print(json.dumps(answer), file=answers, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    _hold(**json.loads(sys.argv[1]))
