"""Which versions of our tables a database has, and how they are made there once."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, func, insert, select

from cluster.errors import ConfigError

_LOCK = 0x6469745F6A6F6273
"""The key of the advisory lock of PostgreSQL under which tables are made: any number of ours."""

SCHEMAS = Table(
    "dit_serve_schemas",
    MetaData(),
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
)


def make_schema(
    connection: Connection, name: str, version: int, tables: MetaData, what: str
) -> None:
    """Makes tables that are not there yet, in a transaction; several processes may do so at once.

    `what` is what the tables hold, for people.

    Raises:
        ConfigError: the tables are those of a newer dit-serve.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    SCHEMAS.create(connection, checkfirst=True)
    found = connection.scalar(select(SCHEMAS.c.version).where(SCHEMAS.c.name == name))
    if found is None:
        tables.create_all(connection)
        connection.execute(insert(SCHEMAS).values(name=name, version=version))
    elif found > version:
        raise ConfigError(
            f"database_url: its {what} have schema {found}, and this dit-serve knows schemas "
            f"up to {version}: update it, or give it a database of its own"
        )
