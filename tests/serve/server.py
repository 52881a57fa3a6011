"""A real cluster for a test: `dit-serve up` on a free port, and the processes that it runs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

START_S = 300.0
STOP_S = 60.0
LEAVE_S = 5.0
DRIVER_S = 150.0


@dataclass(frozen=True)
class Server:
    """A running cluster: where it listens, its log, what it printed, and its process."""

    url: str
    log: Path
    printed: Path
    process: subprocess.Popen[bytes]

    def client(self, timeout_s: float = 120.0) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=timeout_s)

    def processes(self) -> dict[int, str]:
        """Command lines by process id of everything that this cluster runs."""
        return {pid: line for pid, line in _processes() if self._is_ours(pid)}

    def replica_pids(self, deployment: str) -> list[int]:
        name = f"ServeReplica:dit-serve:{deployment}"
        return [pid for pid, line in self.processes().items() if name in line]

    def rank_pids(self) -> list[int]:
        """The processes of ranks, of all pools of more than one."""
        return sorted(pid for pid, line in self.processes().items() if "RankWorker" in line)

    def ray_address(self) -> str:
        """The address of this cluster's own Ray."""
        return next(
            line.split("--gcs-address=")[1].split()[0]
            for line in self.processes().values()
            if "--gcs-address=" in line
        )

    def driven_by(self, script: str, *arguments: str) -> str:
        """The last line that a Python script prints which calls this cluster through Ray.

        `sys.argv[1]` is Ray's address there; the arguments follow.
        """
        finished = subprocess.run(
            [sys.executable, "-c", script, self.ray_address(), *arguments],
            capture_output=True,
            text=True,
            timeout=DRIVER_S,
            env=os.environ | {"RAY_AUTH_MODE": "token"},
            check=False,
        )
        assert finished.returncode == 0, finished.stderr[-3000:]
        return finished.stdout.splitlines()[-1]

    def dashboard_url(self) -> str:
        """Where Ray's dashboard of this cluster listens; it names its port in its log line."""
        found = re.search(r"http://127\.0\.0\.1:\d+", self.log.read_text(errors="replace"))
        assert found is not None
        return found[0]

    def _is_ours(self, pid: int) -> bool:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        return f"DIT_SERVE_TEST={self.url}".encode() in environment.split(b"\0")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(config: Path, port: int, log: Path, **variables: str) -> Server:
    """Starts `dit-serve up`, marked by a variable in its environment; does not wait.

    `variables` come to the environment of all its processes.
    """
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "deployments", "up", str(config)]
    printed = log.with_suffix(".printed")
    with printed.open("w") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--log", str(log)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | variables | {"DIT_SERVE_TEST": url},
        )
    return Server(url, log, printed, process)


@contextmanager
def serving(config: Path, folder: Path, **variables: str) -> Iterator[Server]:
    """A cluster that is ready; stopped at the end, with nothing left of it."""
    server = start(config, free_port(), folder / "serve.log", **variables)
    try:
        wait_ready(server)
        yield server
    finally:
        stop(server)


def wait_ready(server: Server) -> None:
    """Until it has said so itself and every pool has its replicas."""
    give_up = time.monotonic() + START_S
    while "Ready at" not in server.printed.read_text() or not _answers_ready(server):
        assert server.process.poll() is None, server.printed.read_text()[-4000:]
        assert time.monotonic() < give_up, server.log.read_text(errors="replace")[-4000:]
        time.sleep(0.3)


def _answers_ready(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/ready", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def stop(server: Server) -> tuple[str, dict[int, str]]:
    """Interrupts the server as Ctrl-C does: what it printed, and the processes that it left.

    Those are killed, so that no test harms the next.
    """
    try:
        interrupt(server)
    finally:
        left = kill_left_over(server)
    return server.printed.read_text(), left


def interrupt(server: Server) -> None:
    """Ctrl-C, and the wait for the server's own process to end."""
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGINT)
    server.process.wait(STOP_S)


def kill_left_over(server: Server) -> dict[int, str]:
    """Kills what still runs of this cluster a while after its end, and returns it."""
    left = _left_over(server)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


def _left_over(server: Server) -> dict[int, str]:
    give_up = time.monotonic() + LEAVE_S
    while (left := server.processes()) and time.monotonic() < give_up:
        time.sleep(0.2)
    return left


def write_config(
    path: Path,
    *,
    more_models: Sequence[Mapping[str, Any]] = (),
    cluster: Mapping[str, Any] | None = None,
    **model: Any,
) -> Path:
    """The demo's config with other settings of its model, more models, and settings of the cluster.

    Results and jobs lie beside the config.
    """
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    args = document["applications"][0]["args"]
    args["models"][0] |= model
    args["models"] += more_models
    args |= {
        "results": {"url": str(path.parent / "results")},
        "database_url": f"sqlite:///{path.parent / 'jobs.db'}",
        **(cluster or {}),
    }
    path.write_text(yaml.safe_dump(document))
    return path


def _processes() -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            yield int(folder.name), line
