"""`dit-serve up`, which `make serve` runs: it tells when it is ready, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.serve.faults import draw
from tests.serve.server import START_S, Server, free_port, start, stop, wait_ready, write_config

pytestmark = pytest.mark.ray


@dataclass(frozen=True)
class Interrupted:
    """What a server did and left that was interrupted when it had drawn a picture."""

    url: str
    had_raylet: bool
    drawn: dict[str, Any]
    printed: str
    left: dict[int, str]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    folder = tmp_path_factory.mktemp("up")
    server = start(write_config(folder / "config.yaml"), free_port(), folder / "serve.log")
    try:
        wait_ready(server)
        had_raylet = any("raylet" in line for line in server.processes().values())
        drawn = draw(server, tier="fast")
    finally:
        printed, left = stop(server)
    return Interrupted(server.url, had_raylet, drawn, printed, left)


def test_an_interrupt_stops_every_process(interrupted: Interrupted) -> None:
    assert interrupted.had_raylet
    assert "Ready at" in interrupted.printed
    assert f"curl {interrupted.url}/v1/images/generations" in interrupted.printed
    assert interrupted.printed.rstrip().endswith("Stopped.")
    assert interrupted.left == {}


def test_another_server_of_the_same_shape_draws_the_same_bytes(
    interrupted: Interrupted, server: Server
) -> None:
    again = draw(server, tier="fast")
    assert again["data"] == interrupted.drawn["data"]
    shapes = [
        {name: each["receipt"][name] for name in ("parallelism", "quantization", "config_hash")}
        for each in (again, interrupted.drawn)
    ]
    assert shapes[0] == shapes[1]


def test_serve_shutdown_stops_every_process(tmp_path: Path) -> None:
    server = start(write_config(tmp_path / "config.yaml"), free_port(), tmp_path / "serve.log")
    try:
        wait_ready(server)
        finished = subprocess.run(
            [str(Path(sys.executable).parent / "serve"), "shutdown", "-y"],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ
            | {"RAY_DASHBOARD_ADDRESS": server.dashboard_url(), "RAY_AUTH_MODE": "token"},
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        server.process.wait(timeout=90)
    finally:
        _, left = stop(server)
    assert server.process.returncode == 0
    assert left == {}


def test_a_model_that_cannot_be_loaded_ends_it_with_the_reason(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.yaml", source="no/such/model")
    server = start(config, free_port(), tmp_path / "serve.log")
    try:
        server.process.wait(START_S)
    finally:
        printed, left = stop(server)
    assert server.process.returncode == 1
    assert "no/such/model: cannot be loaded as a diffusers pipeline" in printed
    assert left == {}


def test_a_taken_port_is_refused_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = start(write_config(tmp_path / "c.yaml"), port, tmp_path / "serve.log")
        server.process.wait(60)
    printed, _ = stop(server)
    assert server.process.returncode == 2
    assert f"port {port} on 127.0.0.1 is taken" in printed
