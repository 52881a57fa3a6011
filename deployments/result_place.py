"""A place for files that fsspec reaches, and what tells one place from another.

How a file appears whole, which errors it raises, how it says when a file was written. Importing
this module imports neither fsspec nor what it needs for a URL; `reach` does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import uuid4

from cluster.errors import ResultsUnavailable
from cluster.results import ResultsConfig
from cluster.retention import Stored

CHUNK_BYTES = 1 << 20
"""The most that is read of an open file at a time."""

_OBJECT_STORES = ("abfs", "abfss", "adl", "az", "gcs", "gs", "s3", "s3a")
"""Whose objects appear when their last byte is there, and whose listings fsspec would keep."""

_NOT_UNDERSTOOD: tuple[type[Exception], ...] = (ImportError, TypeError, ValueError)
"""What fsspec and its filesystems raise for an unknown URL or option, or a missing package."""

_TIMES = ("mtime", "LastModified", "last_modified", "created")
"""Under which names filesystems tell when a file was written."""


@dataclass(frozen=True)
class Place:
    """A filesystem of fsspec, as the process `process_id` reaches it.

    Names are `folder/file`, below `root`. `rename` is None where what is written appears whole
    without. `errors` are what the filesystem raises when it cannot do something, and `replaced`
    those among them for a file that was replaced after it was opened.
    """

    filesystem: Any
    root: str
    rename: Callable[[str, str], object] | None
    errors: tuple[type[Exception], ...]
    replaced: tuple[type[Exception], ...]
    process_id: int

    def write(self, name: str, data: bytes) -> None:
        """Makes or replaces a file, so that a reader sees all of it or what was there before."""
        if self.rename is None:
            self.filesystem.pipe_file(self._path(name), data)
            return
        folder, file = name.split("/")
        self.filesystem.makedirs(self._path(folder), exist_ok=True)
        part = f"{folder}/.{file}.{uuid4().hex}.part"
        with ExitStack() as unfinished:
            unfinished.callback(self.remove, part)
            self.filesystem.pipe_file(self._path(part), data)
            self.rename(self._path(part), self._path(name))
            unfinished.pop_all()

    def read(self, name: str, start: int, end: int | None) -> bytes | None:
        """The bytes from `start` to before `end`, all of one writing; None without such a file."""
        with though_missing():
            try:
                return bytes(self.filesystem.cat_file(self._path(name), start=start, end=end))
            except OSError as error:
                if _s3_code(error) != "InvalidRange":
                    raise
                return b""
        return None

    def pieces(self, name: str, start: int, length: int | None) -> Iterator[bytes] | None:
        """What `read` would give, in pieces of `CHUNK_BYTES`, the first of them read at once.

        The later ones raise one of `errors` where they are not to be had any more. S3 is asked
        twice, for the file and for the piece: one that is replaced in between is opened again.
        """
        while True:
            pieces = self._pieces(name, start, length)
            with though_missing():
                try:
                    first = next(pieces, b"")
                except self.replaced:
                    continue
                return chain((first,), pieces) if first else pieces
            return None

    def _pieces(self, name: str, start: int, length: int | None) -> Iterator[bytes]:
        opened = self.filesystem.open(
            self._path(name), "rb", block_size=CHUNK_BYTES, cache_type="none"
        )
        with opened as file:
            file.seek(start)
            left = length
            while piece := file.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES)):
                yield piece
                left = None if left is None else left - len(piece)

    def size(self, name: str) -> int | None:
        """The bytes of a file; None where there is none."""
        with though_missing():
            entry = self.filesystem.info(self._path(name))
            return int(entry["size"]) if entry["type"] == "file" else None
        return None

    def remove(self, name: str) -> None:
        """Deletes a file, if it is there."""
        with though_missing():
            self.filesystem.rm_file(self._path(name))

    def files(self) -> list[Stored]:
        """The files of all folders of the root."""
        return [
            Stored("/".join(file["name"].rsplit("/", 2)[-2:]), file["size"], _written_s(file))
            for folder in self._list(self.root, "directory")
            for file in self._list(folder["name"], "file")
        ]

    def _list(self, path: str, kind: str) -> list[dict[str, Any]]:
        """What is in a folder; nothing where its last file has just gone."""
        with though_missing():
            entries = self.filesystem.ls(path, detail=True)
            return [entry for entry in entries if entry["type"] == kind]
        return []

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"


def reach(config: ResultsConfig) -> Place:
    """Imports what the URL needs; S3 is not asked yet.

    Raises:
        ResultsUnavailable: the URL or its options are not understood, or a package is missing.
    """
    from fsspec.core import split_protocol, url_to_fs  # type: ignore[import-untyped]

    is_object_store = split_protocol(config.url)[0] in _OBJECT_STORES
    options = dict(config.options)
    if is_object_store:
        options["use_listings_cache"] = False
    errors: tuple[type[Exception], ...] = (OSError,)
    replaced: tuple[type[Exception], ...] = ()
    try:
        filesystem, root = url_to_fs(config.url, **options)
        if config.is_s3:
            errors, replaced = _s3_errors()
            filesystem.connect()
    except _NOT_UNDERSTOOD + errors as error:
        raise unavailable("results cannot be reached at", config, error) from error
    rename = None if is_object_store else filesystem.mv
    if config.folder is not None:
        rename = os.replace
    return Place(filesystem, root, rename, errors, replaced, os.getpid())


def unavailable(what: str, config: ResultsConfig, error: Exception) -> ResultsUnavailable:
    """The one sentence for what a filesystem could not do; `what` begins it."""
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ResultsUnavailable(f"{what} {config.url}: {' '.join(why.split())}")


@contextmanager
def though_missing() -> Iterator[None]:
    """Passes over a missing file or folder, but not over a missing bucket."""
    try:
        yield
    except FileNotFoundError as error:
        if _s3_code(error) == "NoSuchBucket":
            raise


def _s3_code(error: OSError) -> str | None:
    """What S3 called the error that s3fs made an OSError of."""
    answer = getattr(error.__cause__, "response", None)
    return None if answer is None else answer["Error"]["Code"]


def _s3_errors() -> tuple[tuple[type[Exception], ...], tuple[type[Exception], ...]]:
    """All errors of s3fs, which makes most an OSError, and that for a file that was replaced."""
    from aiohttp import ClientError as TransferError
    from botocore.exceptions import (  # type: ignore[import-untyped]
        BotoCoreError,
        ClientError,
    )
    from s3fs.utils import FileExpired  # type: ignore[import-untyped]

    return (OSError, BotoCoreError, ClientError, TransferError), (FileExpired,)


def _written_s(entry: dict[str, Any]) -> float:
    """When a file was written, in seconds since the epoch."""
    written = next((entry[name] for name in _TIMES if name in entry), None)
    if written is None:
        raise OSError("it does not tell when its files were written")
    return written.timestamp() if isinstance(written, datetime) else float(written)
