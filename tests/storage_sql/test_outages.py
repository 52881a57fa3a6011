"""A database that is gone, comes back, or was never there: one error, one sentence, no password."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, update

from cluster import video_job
from cluster.errors import JobStoreUnavailable
from cluster.video_job import Transition
from deployments.job_store import JobStore
from deployments.job_tables import VIDEOS
from tests.storage_sql.postgres import PostgresServer
from tests.storage_sql.videos import KEEP_S, LEASE_S, NOW_S, claim, claimed, video


@contextmanager
def opened(url: str) -> Iterator[JobStore]:
    store = JobStore(url, keep_s=KEEP_S)
    yield store
    store.close()


def refusal_of(store: JobStore) -> JobStoreUnavailable:
    with pytest.raises(JobStoreUnavailable) as refused:
        store.counts()
    error = refused.value
    assert (error.http_status, error.code) == (503, "job_store_unavailable")
    assert error.retry_after_s == 5
    assert "\n" not in error.message
    return error


def test_a_store_says_that_its_server_is_down_and_works_again_when_it_is_up(
    postgres: PostgresServer,
) -> None:
    url = postgres.new_database()
    with opened(url) as store, opened(url) as unused:
        store.add(video())
        mine = claimed(store)
        postgres.stop()
        try:
            for each in (store, unused):
                assert f"127.0.0.1:{postgres.port}" in refusal_of(each).message
            with pytest.raises(JobStoreUnavailable):
                store.renew(mine.id, "gateway-1", NOW_S, lease_s=LEASE_S, progress=5)
        finally:
            postgres.start()
        assert store.renew(mine.id, "gateway-1", NOW_S, lease_s=LEASE_S, progress=5)
        assert unused.get(mine.id, "") == store.get(mine.id, "")


def test_a_server_that_restarted_between_two_calls_is_not_noticed(
    postgres: PostgresServer,
) -> None:
    with opened(postgres.new_database()) as store:
        store.add(video())
        postgres.stop()
        postgres.start()
        assert claimed(store).id == video().id


def test_a_server_that_goes_in_the_middle_of_a_change_leaves_nothing_half_done(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends after the video's row was read and before it is written."""
    with opened(postgres.new_database()) as store:
        store.add(video())
        decide = video_job.claim

        def stopping(*args: Any, **facts: Any) -> Transition:
            postgres.stop()
            return decide(*args, **facts)

        monkeypatch.setattr(video_job, "claim", stopping)
        try:
            with pytest.raises(JobStoreUnavailable):
                claim(store)
        finally:
            monkeypatch.undo()
            postgres.start()
        assert claimed(store).attempts == 1


def test_who_waits_too_long_for_another_is_told_so(
    database_url: str, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(video())
    monkeypatch.setattr("deployments.database.WAIT_S", 1)
    with opened(database_url) as waiting:
        mine = claimed(waiting)
        engine = create_engine(database_url)
        with engine.begin() as connection:
            connection.execute(update(VIDEOS).values(progress=1))
            began_s = time.monotonic()
            with pytest.raises(JobStoreUnavailable):
                waiting.cancel(mine.id, "", NOW_S)
            assert time.monotonic() - began_s < 8
        engine.dispose()
        assert waiting.cancel(mine.id, "", NOW_S) is not None


def test_a_table_that_somebody_dropped_is_a_store_that_does_not_work(
    database_url: str, store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.counts()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE dit_serve_videos")
    engine.dispose()
    refusal_of(store)
    wish = uuid4().hex
    with pytest.raises(JobStoreUnavailable) as refused:
        store.add(video(prompt=wish))
    told = caplog.text + "".join(traceback.format_exception(refused.value))
    assert "INSERT INTO dit_serve_videos" in told
    assert wish not in told


def test_a_password_is_never_told(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "wrong-5ac1f-secret"
    by_query = f"postgresql+psycopg://127.0.0.1:{postgres.port}/postgres?user=dit&password={wrong}"
    caplog.set_level(logging.DEBUG)
    for url in (postgres.url("postgres", wrong), by_query):
        with opened(url) as store:
            error = refusal_of(store)
            told = [repr(store), str(error), repr(error), caplog.text]
            told += traceback.format_exception(error)
            assert wrong not in " ".join(told)
            assert error.message.count(f"postgresql://127.0.0.1:{postgres.port}/postgres") == 1
    assert "authentication failed" in caplog.text


def test_a_file_where_none_can_be_is_a_store_that_does_not_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for place in ("file/jobs.db", "folder"):
        with opened(f"sqlite:///{tmp_path}/{place}") as store:
            assert str(tmp_path / place) in refusal_of(store).message


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("no database " * 100)
    with opened(f"sqlite:///{other}") as store:
        refusal_of(store)
    assert other.read_text() == "no database " * 100
