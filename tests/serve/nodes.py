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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def ranks(self) -> dict[str, str]:
        """The node id of each rank that lives, by its name: MODEL/POOL REPLICA rank K."""
        return dict(self._ask("ranks"))

    def kill_the_other(self) -> str:
        """Kills the node that is not the head, at once; returns its id."""
        return str(self._ask("kill"))

    def add_another(self) -> str:
        """Adds a node like the one that was killed; returns its id."""
        return str(self._ask("add"))

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


@contextmanager
def two_nodes(mark: str, errors: Path, **node: float) -> Iterator[Nodes]:
    """Two nodes with the same resources, such as num_cpus and num_gpus; one is the head."""
    variables = environment(mark)
    command = [sys.executable, "-m", "tests.serve.nodes", json.dumps(node)]
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


def _hold(node: dict[str, Any]) -> None:
    from ray.cluster_utils import Cluster
    from ray.util.state import list_actors

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    cluster = Cluster()
    cluster.add_node(**node, resources={HEAD: 1}, dashboard_port=0)
    other = cluster.add_node(**node)
    for line in sys.stdin:
        answer: Any
        match line.strip():
            case "address":
                answer = cluster.address
            case "ranks":
                actors = list_actors(
                    address=f"http://{cluster.webui_url}",
                    filters=[("class_name", "=", "RankWorker"), ("state", "=", "ALIVE")],
                    detail=True,
                    timeout=10,
                )
                answer = {actor.repr_name: actor.node_id for actor in actors}
            case "kill":
                answer = other.node_id
                cluster.remove_node(other, allow_graceful=False)
            case "add":
                other = cluster.add_node(**node)
                answer = other.node_id
        print(json.dumps(answer), file=answers, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    _hold(json.loads(sys.argv[1]))
