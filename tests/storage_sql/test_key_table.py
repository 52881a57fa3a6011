"""API keys in a database: on SQLite and PostgreSQL, also in one that had videos before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text, update

from cluster.errors import ConfigError, NotFound
from cluster.key_limits import KeyLimits
from cluster.keys import ApiKey, Scope, recognised
from deployments.database import Database
from deployments.job_store import JobStore
from deployments.key_store import new_key
from deployments.key_table import KeyTable
from deployments.sql_schemas import SCHEMAS
from tests.storage_sql.at_once import in_processes, in_threads
from tests.storage_sql.videos import KEEP_S, video

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def table(database_url: str) -> Iterator[KeyTable]:
    table = KeyTable(database_url)
    yield table
    table.close()


def a_key(name: str = "ann", expires: datetime | None = None) -> tuple[str, ApiKey]:
    return new_key(name, [Scope.GENERATE, Scope.METRICS], NOW, expires)


def test_a_key_is_found_as_it_was_added_and_its_secret_is_not_there(
    table: KeyTable, database_url: str
) -> None:
    sent, key = a_key("é the team's \U0001f511", NOW + timedelta(days=1))
    own = {"requests_per_minute": 5, "tiers": {"none": {"gpu_seconds_per_minute": 2.5}}}
    limited = key.model_copy(update={"limits": KeyLimits.model_validate(own)})
    table.add(limited)
    assert table.read() == {key.id: limited}
    assert recognised(sent, table.read(), NOW) == limited
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM dit_serve_keys")).all()
    engine.dispose()
    assert sent.split("_", 2)[2] not in json.dumps([list(map(str, row)) for row in rows])


def test_a_revoked_key_stays_in_the_list_and_works_no_more(table: KeyTable) -> None:
    sent, key = a_key()
    table.add(key)
    for when in (NOW, NOW + timedelta(days=1)):
        table.revoke(key.id, when)
    assert table.read()[key.id].revoked == NOW
    assert recognised(sent, table.read(), NOW) is None
    with pytest.raises(NotFound, match="has the id aaaaaaaaaa"):
        table.revoke("a" * 10, NOW)


def test_a_database_that_had_only_videos_gets_the_table_and_keeps_the_videos(
    database_url: str, table: KeyTable
) -> None:
    before = JobStore(database_url, keep_s=KEEP_S)
    kept = before.add(video())
    _, key = a_key()
    table.add(key)
    assert before.get(kept.id, "") == kept
    assert list(table.read()) == [key.id]
    before.close()


def test_videos_can_come_where_only_keys_were(database_url: str, table: KeyTable) -> None:
    table.add(a_key()[1])
    store = JobStore(database_url, keep_s=KEEP_S)
    kept = store.add(video(owner="a" * 10))
    assert store.get(kept.id, "a" * 10) == kept
    store.close()


def test_admin_sees_the_videos_of_all_in_one_list(database_url: str) -> None:
    store = JobStore(database_url, keep_s=KEEP_S)
    kept = [store.add(video(number, owner=owner)) for number, owner in enumerate(["ann", "bob"])]
    assert store.page(None, after=None, limit=5, order="asc") == (kept, False)
    assert store.page(None, after=kept[0].id, limit=5, order="asc") == (kept[1:], False)
    assert store.get(kept[0].id, None) == kept[0]
    assert store.delete(kept[1].id, None) == kept[1]
    store.close()


def _add(number: int, database_url: str) -> str:
    table = KeyTable(database_url)
    _, key = a_key(f"of process {number}")
    table.add(key)
    table.close()
    return key.id


def test_gateways_that_start_at_once_make_one_table(database_url: str) -> None:
    added = in_processes(3, _add, database_url)
    table = KeyTable(database_url)
    assert set(table.read()) == set(added)
    table.close()


def test_threads_share_a_table(table: KeyTable) -> None:
    def add(number: int) -> str:
        _, key = a_key()
        table.add(key)
        return key.id

    assert set(in_threads(6, add)) == set(table.read())


def test_a_table_of_a_newer_dit_serve_is_left_alone(database_url: str, table: KeyTable) -> None:
    table.add(a_key()[1])
    database = Database(database_url, lambda connection: None)
    with database.writing() as connection:
        connection.execute(update(SCHEMAS).where(SCHEMAS.c.name == "api_keys").values(version=2))
    database.close()
    other = KeyTable(database_url)
    with pytest.raises(ConfigError, match="its API keys have schema 2"):
        other.read()
    other.close()
