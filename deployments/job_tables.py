"""The tables of video jobs, their version, and how a video lies in its row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    Select,
    Table,
    Text,
    delete,
    update,
)

from cluster.video_job import VideoError, VideoJob, VideoStatus
from deployments.sql_schemas import make_schema

SCHEMA = "video_jobs"
SCHEMA_VERSION = 1

METADATA = MetaData()

# What callers and libraries write is kept as JSON, whose escapes take every character: PostgreSQL's
# text takes no NUL, and neither database an unpaired surrogate.
VIDEOS = Table(
    "dit_serve_videos",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("job", JSON, nullable=False),
    Column("prompt", JSON, nullable=False),
    Column("model", Text, nullable=False),
    Column("size", Text, nullable=False),
    Column("seconds", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("request_digest", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("status", Text, nullable=False),
    Column("progress", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease_holder", Text),
    Column("lease_until", Double),
    Column("completed_at", Double),
    Column("expires_at", Double),
    Column("error", JSON(none_as_null=True)),
    Column("receipt", JSON(none_as_null=True)),
    Column("result_bytes", BigInteger),
    Index("dit_serve_videos_key", "owner", "idempotency_key", unique=True),
    Index("dit_serve_videos_page", "owner", "created_at", "id"),
    Index("dit_serve_videos_line", "status", "created_at", "id"),
    Index("dit_serve_videos_expiry", "expires_at"),
)

# Apart from the videos, whose rows are written again with every step of progress.
INPUTS = Table(
    "dit_serve_video_inputs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("input_reference", LargeBinary, nullable=False),
)


def make_tables(connection: Connection) -> None:
    """Makes what is not there yet, in a transaction; any number of processes may do so at once.

    Raises:
        ConfigError: the tables are those of a newer dit-serve.
    """
    make_schema(connection, SCHEMA, SCHEMA_VERSION, METADATA, "video jobs")


def locked(
    connection: Connection, which: Select[Any], *, skip_locked: bool = False
) -> VideoJob | None:
    """The first such video; until the transaction ends nobody else changes it.

    SQLite knows no locks on rows, and needs none: a transaction locks the database.
    """
    row = connection.execute(which.with_for_update(skip_locked=skip_locked)).mappings().first()
    return None if row is None else video_of(row)


def write(connection: Connection, before: VideoJob, after: VideoJob) -> None:
    """Puts what changed of a video in its row; what came with one that ended goes."""
    old, new = row_of(before), row_of(after)
    changed = {name: value for name, value in new.items() if value != old[name]}
    if changed:
        connection.execute(update(VIDEOS).where(VIDEOS.c.id == after.id).values(changed))
    if after.status.finished:
        connection.execute(delete(INPUTS).where(INPUTS.c.id == after.id))


def remove(connection: Connection, video_ids: Collection[str]) -> None:
    """Deletes the rows of videos."""
    for table in (VIDEOS, INPUTS):
        connection.execute(delete(table).where(table.c.id.in_(video_ids)))


def row_of(video: VideoJob) -> dict[str, Any]:
    """The columns of a video, by name."""
    row = {field.name: getattr(video, field.name) for field in fields(video)}
    error = None if video.error is None else asdict(video.error)
    return row | {"status": video.status.value, "error": error}


def video_of(row: RowMapping) -> VideoJob:
    """The video of a row."""
    error = None if row["error"] is None else VideoError(**row["error"])
    return VideoJob(**{**row, "status": VideoStatus(row["status"]), "error": error})
