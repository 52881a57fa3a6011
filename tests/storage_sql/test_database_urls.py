"""Which databases a store takes, how it travels to other processes, whose tables it knows."""

from __future__ import annotations

import logging
import pickle
import traceback
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, update

from cluster.errors import ConfigError
from deployments.job_store import JobStore
from deployments.sql_schemas import SCHEMAS
from tests.storage_sql.postgres import PASSWORD, PostgresServer
from tests.storage_sql.videos import KEEP_S, video


def test_a_store_pickles_unused_and_used(store: JobStore) -> None:
    for _ in range(2):
        copy = pickle.loads(pickle.dumps(store))
        copy.add(video())
        assert store.get(video().id, "") == video()
        copy.close()


def test_a_newer_schema_is_refused_in_one_sentence(store: JobStore, database_url: str) -> None:
    store.counts()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(update(SCHEMAS).values(version=2))
    engine.dispose()
    older = JobStore(database_url, keep_s=KEEP_S)
    with pytest.raises(ConfigError, match=r"schema 2, .* up to 1") as refused:
        older.counts()
    assert "\n" not in str(refused.value)
    older.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("jobs.db", "no URL of a database"),
        ("mysql://root@localhost/jobs", "mysql is not supported"),
        ("postgresql+psycopg2://localhost/jobs", "psycopg2 is not supported"),
        ("sqlite://", "no file that all processes share"),
        ("sqlite:///:memory:", "no file that all processes share"),
        ("sqlite:///file:jobs?mode=memory&uri=true", "no file that all processes share"),
    ],
)
def test_a_url_of_another_kind_is_refused_with_those_that_will_do(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as refused:
        JobStore(url, keep_s=KEEP_S)
    assert "sqlite:///FILE or postgresql+psycopg://" in str(refused.value)


def test_a_relative_file_is_the_same_wherever_the_store_is_carried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = JobStore("sqlite:///var/jobs.db", keep_s=KEEP_S)
    monkeypatch.chdir("/")
    copy = pickle.loads(pickle.dumps(store))
    copy.add(video())
    copy.close()
    assert (tmp_path / "var" / "jobs.db").exists()


def test_a_password_travels_with_the_store_to_where_it_is_used(postgres: PostgresServer) -> None:
    store = JobStore(postgres.new_database(), keep_s=KEEP_S)
    carried = pickle.loads(pickle.dumps(store))
    assert carried.add(video()) == video()
    assert PASSWORD not in repr(carried)
    carried.close()


def test_a_url_from_a_variable_is_used_and_travels_only_as_its_name(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DIT_DATABASE", database_url)
    store = JobStore("env:DIT_DATABASE", keep_s=KEEP_S)
    store.add(video())
    pickled = pickle.dumps(store)
    carried = pickle.loads(pickled)
    assert carried.get(video().id, "") == video()
    assert b"env:DIT_DATABASE" in pickled
    assert database_url.encode() not in pickled
    assert PASSWORD.encode() not in pickled
    assert PASSWORD not in repr(store) + caplog.text
    for each in (store, carried):
        each.close()
    monkeypatch.delenv("DIT_DATABASE")
    with pytest.raises(ConfigError, match="environment variable DIT_DATABASE is not set"):
        pickle.loads(pickled)


def test_a_variable_that_holds_no_url_is_told_by_its_name_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = uuid4().hex
    monkeypatch.setenv("DIT_DATABASE", f"dit:{secret}@host/jobs")
    with pytest.raises(ConfigError) as refused:
        JobStore("env:DIT_DATABASE", keep_s=KEEP_S)
    assert str(refused.value).startswith("database_url (env:DIT_DATABASE): it is no URL")
    assert secret not in "".join(traceback.format_exception(refused.value))


def test_a_url_that_is_wrong_is_refused_without_its_password() -> None:
    places = [
        "mysql://dit:{}@host/jobs",
        "//dit:{}@host/jobs",
        "postgresql://dit:a@b:{}@host/jobs",
        "postgresql://dit:a@{}@host/jobs",
    ]
    for place in places:
        secret = uuid4().hex
        with pytest.raises(ConfigError) as refused:
            JobStore(place.format(secret), keep_s=KEEP_S)
        assert secret not in "".join(traceback.format_exception(refused.value))
