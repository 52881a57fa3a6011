"""A SQL database by its URL: SQLite in the box, PostgreSQL in production, the same for its users.

Two kinds of access: `writing`, a transaction that keeps other writers from the rows that it reads
for update, and `reading`. Whatever goes wrong at the database's end is `JobStoreUnavailable`, and
every wait is bounded. Used from threads; pickles as its URL
or as the name of the variable that holds it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cluster.errors import ConfigError, JobStoreUnavailable
from cluster.secret_reference import read_secret, variable_of

logger = logging.getLogger("ray.serve")

WAIT_S = 10
"""For a connection, a lock, an answer: beyond this a database counts as not there."""

RETRY_AFTER_S = 5.0
CONNECTIONS = 8
"""Of a process at most; a statement takes about a millisecond."""

KEY = "database_url"
WAYS = "sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"

Prepare = Callable[[Connection], None]
"""Makes in a transaction what is not there yet; called before the first use, in every process."""


class Database:
    """Opens no connection before it is used."""

    def __init__(self, url: str, prepare: Prepare) -> None:
        """`url` may be `env:NAME`: it is read here from the environment, and again after pickling.

        A relative SQLite path counts from the folder of the process that makes this object.

        Raises:
            ConfigError: it is no such URL, its variable is not set, or the driver is not installed.
        """
        variable = variable_of(url)
        where = f"{KEY} ({url})" if variable else KEY
        self._url = _read(read_secret(url, KEY, os.environ), where)
        self._reference = url if variable else None
        self._prepare = prepare
        self._prepared = False
        self._engine = _engine(self._url, where)
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    def __reduce__(self) -> tuple[object, ...]:
        url = self._reference or self._url.render_as_string(hide_password=False)
        return Database, (url, self._prepare)

    def __repr__(self) -> str:
        return f"Database({self.name})"

    @property
    def name(self) -> str:
        """Kind, place and database: what tells it from others, without user and password."""
        url = self._url
        if url.drivername == "sqlite":
            return f"sqlite:///{url.database}"
        port = f":{url.port}" if url.port else ""
        return f"postgresql://{url.host or ''}{port}/{url.database or ''}"

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, committed at the end.

        Until then, rows that it reads `with_for_update` are its own; on SQLite, the whole database.

        Raises:
            JobStoreUnavailable: also when the commit's outcome is not known.
        """
        with self._failures_named(), self._ready(self._engine).begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Statements by themselves, each on what is committed when it begins.

        Raises:
            JobStoreUnavailable.
        """
        with self._failures_named(), self._ready(self._reading).connect() as connection:
            yield connection

    def close(self) -> None:
        """Closes the connections that are not in use; the next use opens new ones."""
        self._engine.dispose()

    def _ready(self, engine: Engine) -> Engine:
        if not self._prepared:
            self._make_folder()
            with self._engine.begin() as connection:
                self._prepare(connection)
            self._prepared = True
        return engine

    def _make_folder(self) -> None:
        if self._url.drivername == "sqlite":
            try:
                Path(self._url.database or "").parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._unavailable(error) from error

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        """What is wrong with what was asked is not the database's failure, and passes."""
        try:
            yield
        except (DataError, IntegrityError):
            raise
        except DBAPIError as error:
            raise self._unavailable(error.orig) from error
        except PoolTimeout as error:
            raise self._unavailable(error) from error

    def _unavailable(self, cause: BaseException | None) -> JobStoreUnavailable:
        logger.error("the database %s failed: %s", self.name, cause)
        message = f"the database of jobs, {self.name}, does not answer as it should; try again"
        return JobStoreUnavailable(message, retry_after_s=RETRY_AFTER_S)


def _read(text: str, where: str) -> URL:
    """`where` it stands in the config begins the sentence that refuses it."""
    no_url = ConfigError(
        f"{where}: it is no URL of a database; give {WAYS}, "
        "with %XX for special characters of the password"
    )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # Not `from` them: where a password was misread, they tell a piece of it.
        raise no_url from None
    if "@" in (url.host or ""):
        raise no_url
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ConfigError(f"{where}: {url.drivername} is not supported; give {WAYS}")
    if url.drivername == "postgresql+psycopg":
        return url
    file = url.database or ":memory:"
    if file == ":memory:" or file.startswith("file:"):
        raise ConfigError(f"{where}: {file} is no file that all processes share; give {WAYS}")
    return url.set(database=str(Path(file).absolute()))


def _engine(url: URL, where: str) -> Engine:
    arguments: dict[str, Any] = {"timeout": WAIT_S}
    if url.drivername != "sqlite":
        # Prepared statements are lost behind a pooler that changes sessions between transactions.
        arguments = {
            "connect_timeout": WAIT_S,
            "tcp_user_timeout": WAIT_S * 1000,
            "prepare_threshold": None,
        }
    try:
        engine = create_engine(
            url,
            connect_args={key: arguments[key] for key in arguments.keys() - url.query.keys()},
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=CONNECTIONS // 2,
            max_overflow=CONNECTIONS // 2,
            pool_timeout=WAIT_S,
        )
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{where}: {error.name} is missing: pip install 'dit-serve[postgres]'"
        ) from error
    if url.drivername == "sqlite":
        event.listen(engine, "connect", _open_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _bound_postgresql)
    return engine


def _open_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    until_s = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # Where several switch a new file at once, SQLite refuses all but one without waiting.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    """Locks out other writers from the first read on, not from the first write."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _bound_postgresql(connection: Any, _record: object) -> None:
    """Nobody waits for ever for a lock, or for one who died and left a transaction open."""
    for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(f"SET {limit} = '{WAIT_S}s'")
    connection.commit()
