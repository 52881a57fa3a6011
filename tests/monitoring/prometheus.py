"""A real Prometheus on this machine that scrapes a real server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.monitoring.programs import program
from tests.serve.server import free_port

START_S = 30.0
STOP_S = 15.0


@dataclass(frozen=True)
class Prometheus:
    """Where it listens."""

    url: str

    def query(self, expr: str) -> Sequence[Mapping[str, Any]]:
        """The series of an instant query now; raises AssertionError where it is no PromQL."""
        return self._ask("query", query=expr)["result"]

    def rules(self) -> Sequence[Mapping[str, Any]]:
        """The rules of all groups, each with `name`, `type`, `query`, `health`, `lastError`."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {
            alert["labels"]["alertname"]
            for alert in self._ask("alerts")["alerts"]
            if alert["state"] == "firing"
        }

    def _ask(self, route: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{route}", params=parameters, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@contextmanager
def prometheus(config: Mapping[str, Any], folder: Path) -> Iterator[Prometheus]:
    """One that has this configuration, until the end of the block; its data lie in `folder`."""
    found = program("prometheus")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(dict(config)))
    address = f"127.0.0.1:{free_port()}"
    command = [
        found,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        give_up = time.monotonic() + START_S
        while not _is_ready(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            time.sleep(0.1)
        yield Prometheus(f"http://{address}")
    finally:
        process.terminate()
        process.wait(STOP_S)


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/-/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
