"""API keys in the database of `database_url`: ids and digests, and no secret."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Double,
    MetaData,
    RowMapping,
    Table,
    Text,
    insert,
    select,
    update,
)

from cluster.errors import NotFound
from cluster.keys import ApiKey, key_list
from deployments.database import Database
from deployments.sql_schemas import make_schema

SCHEMA = "api_keys"
SCHEMA_VERSION = 1
METADATA = MetaData()

# Times are Unix seconds. What people write is kept as JSON, whose escapes take every character.
KEYS = Table(
    "dit_serve_keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", JSON, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("revoked", Double),
    Column("limits", JSON(none_as_null=True)),
)


class KeyTable:
    """Opens no connection before its first use; every method raises `JobStoreUnavailable`."""

    def __init__(self, database_url: str) -> None:
        """Raises `ConfigError` as `Database` does."""
        self._database = Database(database_url, _make_table)

    @property
    def place(self) -> str:
        return self._database.name

    def read(self) -> dict[str, ApiKey]:
        """All keys by their ids, those that do not work any more as well.

        Raises:
            ConfigError: a row holds no key.
        """
        with self._database.reading() as connection:
            rows = connection.execute(select(KEYS).order_by(KEYS.c.created, KEYS.c.id)).mappings()
            entries = [_entry(row) for row in rows]
        return key_list(entries, f"{self.place}: {KEYS.name}")

    def add(self, key: ApiKey) -> None:
        with self._database.writing() as connection:
            connection.execute(insert(KEYS).values(_row_of(key)))

    def revoke(self, key_id: str, now: datetime) -> None:
        """From now on the key does not work; one that was revoked before stays as it is.

        Raises:
            NotFound: there is no key with that id.
        """
        revoked = update(KEYS).where(KEYS.c.id == key_id, KEYS.c.revoked.is_(None))
        with self._database.writing() as connection:
            connection.execute(revoked.values(revoked=now.timestamp()))
            if connection.scalar(select(KEYS.c.id).where(KEYS.c.id == key_id)) is None:
                raise NotFound(f"no key in {self.place} has the id {key_id}")

    def close(self) -> None:
        """Closes the connections; the next use opens new ones."""
        self._database.close()


def _make_table(connection: Connection) -> None:
    make_schema(connection, SCHEMA, SCHEMA_VERSION, METADATA, "API keys")


def _row_of(key: ApiKey) -> dict[str, object]:
    row = key.model_dump()
    times = {
        name: None if row[name] is None else row[name].timestamp()
        for name in ("created", "expires", "revoked")
    }
    return row | times | {"scopes": [scope.value for scope in key.scopes]}


def _entry(row: RowMapping) -> dict[str, object]:
    times = {
        name: None if row[name] is None else datetime.fromtimestamp(row[name], UTC)
        for name in ("created", "expires", "revoked")
    }
    return {**row, **times}
