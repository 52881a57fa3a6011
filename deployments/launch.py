"""Starts `serve run` for a config, waits until it is ready, and stops all of it at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from cluster.errors import ConfigError
from deployments import options, proxy_bounds

STOP_S = 60.0
"""How long Serve gets to stop before it is killed."""

GONE_S = 15.0
"""How long nothing may listen, and no controller run, before Serve counts as shut down.

Ray starts a controller that died again within seconds, and that one a proxy that died.
"""

VARIABLES = {"MALLOC_ARENA_MAX": "2"}
"""For all processes: glibc would give the threads of each, which are dozens, eight arenas a core.

They fill for many minutes with what was freed, also of a server with nothing to do: it looked like
a leak of 1 to 3 MB a minute (docs/reliability.md).
"""

_CONTROLLER = b"ray::ServeController"

_FAILED = ("DEPLOY_FAILED", "ConfigError: ", "deploy_failed")


class LaunchError(Exception):
    """The cluster did not come up; the message says where to look."""


def with_port(document: Mapping[str, Any], host: str | None, port: int | None) -> dict[str, Any]:
    """The Serve config with another address to listen on, where one is given."""
    http = dict(document.get("http_options") or {})
    http |= {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    return {**document, "http_options": http}


def address_of(document: Mapping[str, Any]) -> tuple[str, int]:
    """Where this machine reaches the server: Serve's defaults are all interfaces and port 8000."""
    http = document.get("http_options") or {}
    host = http.get("host", "0.0.0.0")
    return ("127.0.0.1" if host in ("0.0.0.0", "::") else host), http.get("port", 8000)


@contextmanager
def running(document: Mapping[str, Any], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`serve run` of a config as a child process with its own Ray, and its output in `log`.

    On leaving, Serve is told to stop, waited for, and killed only if it does not.

    Raises:
        ConfigError: the port is taken.
    """
    host, port = address_of(document)
    _refuse_taken_port(host, port)
    with tempfile.TemporaryDirectory(prefix="dit-serve-") as folder:
        config = Path(folder, "config.yaml")
        config.write_text(yaml.safe_dump(dict(document), sort_keys=False), encoding="utf-8")
        environment = os.environ | {
            "RAY_ADDRESS": "local",
            "RAY_AUTH_MODE": "token",
            "RAY_DEDUP_LOGS": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONUNBUFFERED": "1",
            **VARIABLES,
            **options.VARIABLES,
            **proxy_bounds.VARIABLES,
        }
        command = [sys.executable, "-m", "ray.serve.scripts", "run", str(config)]
        with log.open("wb") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=listen_to_interrupts,
            )
            try:
                yield child
            finally:
                _stop(child)


def wait_ready(child: subprocess.Popen[bytes], address: str, log: Path, timeout_s: float) -> None:
    """Returns when every pool has a replica.

    Raises:
        LaunchError: `serve run` ended, the application failed to deploy, or the time is over.
    """
    give_up = time.monotonic() + timeout_s
    while not _is_ready(address):
        if child.poll() is not None:
            raise LaunchError(f"serve run ended with status {child.returncode}\n{_tail(log)}")
        if any(word in log.read_text(encoding="utf-8", errors="replace") for word in _FAILED):
            raise LaunchError(f"the application could not be deployed\n{_tail(log)}")
        if time.monotonic() > give_up:
            raise LaunchError(f"not ready after {timeout_s:.0f} s\n{_tail(log)}")
        time.sleep(0.5)


def wait_end(child: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Returns when Serve was shut down from elsewhere, which leaves `serve run` sleeping.

    Raises:
        LaunchError: `serve run` ended.
    """
    last_seen = time.monotonic()
    while time.monotonic() - last_seen < GONE_S:
        try:
            child.wait(1.0)
        except subprocess.TimeoutExpired:
            if _listens(address) or has_controller(child.pid):
                last_seen = time.monotonic()
        else:
            raise LaunchError(f"serve run ended with status {child.returncode}\n{_tail(log)}")


def has_controller(session: int) -> bool:
    """Whether Serve's controller is among the processes of that session, which `running` begins.

    A proxy that died is no shutdown: where 50 processes wait for two cores, a new one takes half a
    minute. Without /proc nobody knows, and the answer is no.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
            if line.startswith(_CONTROLLER) and os.getsid(int(folder.name)) == session:
                return True
        except OSError:
            continue
    return False


def stop_on_signals() -> None:
    """Lets an interrupt, a termination or a closed terminal end the command in one way.

    The interrupt too: a shell starts background jobs with it ignored.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def _listens(address: str) -> bool:
    host, _, port = address.removeprefix("http://").rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            return True
    except OSError:
        return False


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def listen_to_interrupts() -> None:
    """A shell starts background jobs with interrupts ignored, which a child would inherit."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _refuse_taken_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} on {host} is taken; choose another with --port"
            ) from error


def _tail(log: Path, lines: int = 25) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([*text[-lines:], f"(the whole log: {log})"])
