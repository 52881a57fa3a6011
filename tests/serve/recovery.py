"""How a pool comes back after a fault: watched from outside, in seconds since the fault."""

from __future__ import annotations

import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.serve.faults import ranks_of_a_replica, replicas, until
from tests.serve.server import Server

LOOK_S = 0.05
GIVE_UP_S = 120.0
LOG_S = 20.0
"""How long a line of a rank may take to the log."""


@dataclass(frozen=True)
class Recovery:
    """When the replica's process ended, others stood in for it, and all took requests again.

    `load_s` and `warm_up_s` are durations, as the slowest of the new ranks tells them; imports
    belong to loading. `allowed_s` is the silence that the watchdog allowed, where it was the one
    to end the replica.
    """

    noticed_s: float
    replica_begins_s: float
    ranks_begin_s: float
    load_s: float
    warm_up_s: float
    ready_s: float
    allowed_s: float | None


class Disturbance:
    """Sends a signal to the last rank of a replica of a pool, and watches what follows.

    `begin` is for `steady_load`; `recovery` waits until every replica takes requests again.
    """

    def __init__(self, server: Server, pool: str, fault: int) -> None:
        self.group = ranks_of_a_replica(server, pool)
        self._server, self._fault = server, fault
        self._deployment = f"pool-shapes-{pool}"
        self._replicas = set(server.replica_pids(self._deployment))
        self._ranks = set(server.rank_pids())
        self._full = replicas(server)
        self._log_begin = server.log.stat().st_size
        self._seen: dict[str, float] = {}
        self._watcher = threading.Thread(target=self._watch, name="recovery", daemon=True)

    def begin(self) -> None:
        self._happened_s = time.monotonic()
        os.kill(self.group[-1], self._fault)
        self._watcher.start()

    def recovery(self) -> Recovery:
        """The times; raises AssertionError when it took more than two minutes."""
        self._watcher.join(GIVE_UP_S + 10)
        assert "ready" in self._seen, f"not recovered; seen: {self._seen}"
        until(lambda: len(self._told("warmed up")) >= len(self.group), LOG_S)
        allowed = self._logged(r"no step for [\d.]+ s, ([\d.]+) s are allowed")
        return Recovery(
            noticed_s=self._seen["noticed"],
            replica_begins_s=self._seen["replica"],
            ranks_begin_s=self._seen["ranks"],
            load_s=max(self._told("loaded")),
            warm_up_s=max(self._told("warmed up")),
            ready_s=self._seen["ready"],
            allowed_s=allowed[-1] if allowed else None,
        )

    def _told(self, what: str) -> list[float]:
        return self._logged(rf"rank \d+ of {len(self.group)}: {what} in ([\d.]+) s")

    def _logged(self, seconds: str) -> list[float]:
        """What the log says since the disturbance was made, by a pattern with one group."""
        with self._server.log.open(errors="replace") as log:
            log.seek(self._log_begin)
            return [float(each) for each in re.findall(seconds, log.read())]

    def _watch(self) -> None:
        while "ready" not in self._seen and self._now() < GIVE_UP_S:
            self._look()
            time.sleep(LOOK_S)

    def _look(self) -> None:
        if not all(_lives(pid) for pid in self._replicas):
            self._note("noticed")
        if "noticed" in self._seen and "ranks" not in self._seen:
            pids = self._server.processes()
            if any(self._deployment in pids[pid] for pid in set(pids) - self._replicas):
                self._note("replica")
            new = {pid for pid in pids if "RankWorker" in pids[pid]} - self._ranks
            if len(new) >= len(self.group):
                self._note("ranks")
        counts = replicas(self._server)
        if counts != self._full:
            self._note("fewer")
        elif "ranks" in self._seen and "fewer" in self._seen:
            self._note("ready")

    def _note(self, event: str) -> None:
        self._seen.setdefault(event, self._now())

    def _now(self) -> float:
        return time.monotonic() - self._happened_s


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
