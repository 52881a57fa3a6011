"""How large the processes of a running cluster are, by what they do: memory, files, threads."""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from benchmarks.growth import Slope, theil_sen
from tests.serve.server import Server

ROLES: Mapping[str, str] = {
    r"ServeReplica:[\w-]+:(gateway)": "{}",
    r"ServeReplica:[\w-]+:(router-[\w-]+)": "{}",
    r"ServeReplica:[\w-]+:(pool-[\w-]+)": "{}",
    r"RankWorker": "rank",
    r"ray::ProxyActor": "Serve's proxy",
    r"ray::ServeController": "Serve's controller",
    r"/raylet/raylet ": "raylet",
    r"gcs_server": "Ray's GCS",
    r"dashboard/dashboard\.py": "Ray's dashboard",
    r"dashboard/agent\.py": "Ray's agent",
    r"runtime_env/agent/main\.py": "Ray's agent of environments",
    r"log_monitor\.py": "Ray's log monitor",
    r"autoscaler/_private/monitor\.py": "Ray's autoscaler",
    r"ray\.serve\.scripts run": "serve run",
    r"-m deployments up": "dit-serve up",
}
"""What a process is, by its command line; the first that is found counts."""

OURS = ("gateway", "router-", "pool-", "rank", "dit-serve up")
"""How the roles begin in which code of this project runs."""


@dataclass(frozen=True)
class Size:
    """One process at one moment. `memory_mb` is what it holds alone: anonymous pages in memory."""

    pid: int
    role: str
    memory_mb: float
    files: int
    threads: int


@dataclass(frozen=True)
class Total:
    """All processes of a role at one moment."""

    pids: frozenset[int]
    memory_mb: float
    files: int
    threads: int


def role_of(command: str) -> str | None:
    """What a process does; None of one that comes and goes, such as an idle worker of Ray's."""
    for pattern, role in ROLES.items():
        if found := re.search(pattern, command):
            return role.format(*found.groups())
    return None


def sizes(server: Server) -> list[Size]:
    """Now, of every process of the cluster that has a role."""
    found = []
    for pid, command in server.processes().items():
        if (role := role_of(command)) is not None:
            found += list(_size(pid, role))
    return found


def by_role(found: Sequence[Size]) -> dict[str, Total]:
    """The sums over the processes of each role, ours first."""
    members = defaultdict[str, list[Size]](list)
    for size in found:
        members[size.role].append(size)
    return {
        role: Total(
            frozenset(size.pid for size in members[role]),
            sum(size.memory_mb for size in members[role]),
            sum(size.files for size in members[role]),
            sum(size.threads for size in members[role]),
        )
        for role in sorted(members, key=lambda role: (not role.startswith(OURS), role))
    }


@dataclass(frozen=True)
class Sample:
    """The roles' sizes, some minutes after the sampling began."""

    minutes: float
    totals: Mapping[str, Total]


class Sampler:
    """Takes a sample every so many seconds, in a thread, until it is left as a context."""

    def __init__(self, server: Server, every_s: float) -> None:
        self.samples: list[Sample] = []
        self._server, self._every_s = server, every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._began_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            minutes = (time.monotonic() - self._began_s) / 60
            self.samples.append(Sample(minutes, by_role(sizes(self._server))))
            self._over.wait(self._every_s)


def memory_slopes(samples: Sequence[Sample], from_minute: float) -> dict[str, Slope]:
    """Of each role that all samples have, in MB a minute, from that minute on."""
    late = [sample for sample in samples if sample.minutes >= from_minute]
    roles = [role for role in late[0].totals if all(role in sample.totals for sample in late)]
    minutes = [sample.minutes for sample in late]
    return {
        role: theil_sen(minutes, [sample.totals[role].memory_mb for sample in late])
        for role in roles
    }


def _size(pid: int, role: str) -> Iterator[Size]:
    """Nothing of a process that has just ended."""
    folder = Path(f"/proc/{pid}")
    try:
        status = (folder / "status").read_text()
        files = sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return
    memory = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
    threads = re.search(r"^Threads:\s+(\d+)", status, re.MULTILINE)
    if memory and threads:
        yield Size(pid, role, int(memory[1]) / 1000, files, int(threads[1]))
