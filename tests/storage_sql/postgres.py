"""A real PostgreSQL server on this machine, for as long as tests want it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

USER = "dit"
PASSWORD = "tests-7b1e-secret"
START_S = 30.0
STOP_S = 15.0


class PostgresMissing(Exception):
    """There is no PostgreSQL server on this machine."""


class PostgresServer:
    """Listens on 127.0.0.1 at a free port; its data lie in a folder that `close` deletes."""

    def __init__(self) -> None:
        """Raises `PostgresMissing`."""
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="dit-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self.port = _free_port()
        self._make_cluster()
        self.start()

    def url(self, database: str, password: str = PASSWORD) -> str:
        return f"postgresql+psycopg://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        with self._connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def start(self) -> None:
        """Starts it and waits until it takes connections, or raises AssertionError."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self._folder,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        options = [each for key, value in settings.items() for each in ("-c", f"{key}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                **_unprivileged(),
            )
        until_s = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text(errors="replace")
            assert time.monotonic() < until_s, "PostgreSQL does not come up"
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends it, and all connections with it, as an administrator would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(STOP_S)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _make_cluster(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if (owner := _unprivileged()) != {}:
            for path in (self._folder, password):
                os.chown(path, owner["user"], owner["group"])
        options = [
            "--auth=scram-sha-256",
            f"--username={USER}",
            f"--pwfile={password}",
            "--no-sync",
        ]
        done = subprocess.run(
            [
                self._programs / "initdb",
                "-D",
                self._data,
                "--encoding=UTF8",
                "--locale=C",
                *options,
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **owner,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname="postgres",
            autocommit=True,
            connect_timeout=5,
        )

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), self._connect():
            return True
        return False


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server for tests. Where there is none they are skipped, loudly, but fail in CI."""
    try:
        server = PostgresServer()
    except PostgresMissing as error:
        sentence = f"NOT TESTED ON POSTGRESQL: {error}"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    try:
        yield server
    finally:
        server.close()


def _programs() -> Path:
    """The folder of `initdb` and `postgres`, the newest where Debian keeps several."""
    found = shutil.which("initdb")
    if found is not None and Path(found).resolve().with_name("postgres").exists():
        return Path(found).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    versions = {path.parent.parent.name: path.parent for path in debian}
    if not versions:
        raise PostgresMissing("no initdb on PATH or in /usr/lib/postgresql/*/bin")
    return versions[max(versions, key=lambda version: float(version))]


def _unprivileged() -> dict[str, Any]:
    """Who runs the server, as options of `subprocess`: PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return {}
    names = {each.pw_name for each in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
