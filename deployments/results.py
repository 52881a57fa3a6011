"""Finished pictures and videos by their keys: put, read in parts, and swept when they are old.

Every call may wait for a disk or a network: on an event loop, make it from a thread.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from cluster.results import ResultsConfig
from cluster.retention import Stored, deletions
from deployments.result_place import Place, reach, unavailable

logger = logging.getLogger("ray.serve")

HEAD_BYTES = 12
"""How many first bytes `content_type` looks at."""

_KEY = re.compile(r"[a-z]+/[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_PART = re.compile(r"[a-z]+/\.[A-Za-z0-9_.-]+\.part")
_ABANDONED_S = 3600.0
"""A part of this age is of a process that died while it wrote."""

_MP4_BRANDS = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ")


class ResultStore:
    """Results by their keys, such as `images/img_ab12_0`.

    A reader sees a whole result or none, also while it is replaced. Threads may share a store. It
    pickles, and reaches for its place anew in the process where it arrives. Every call raises
    `ResultsUnavailable` when the place cannot do what is asked, and ValueError for a key that is
    none; a result that is not there is told as None.

    A folder of a machine that loses power may lose what was written in its last seconds.
    """

    def __init__(self, config: ResultsConfig) -> None:
        self.config = config.anchored_at(os.getcwd())
        self._reached: Place | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return ResultStore, (self.config,)

    def put(self, key: str, data: bytes) -> None:
        """Stores a result; one of the same key is replaced."""
        with self._telling(f"{_checked(key)} cannot be written to") as place:
            place.write(key, data)

    def size(self, key: str) -> int | None:
        """The bytes of a result."""
        with self._telling(f"{_checked(key)} cannot be found in") as place:
            return place.size(key)

    def exists(self, key: str) -> bool:
        return self.size(key) is not None

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes | None:
        """The bytes from `start` on, all or `length`; fewer where the result ends before."""
        _check_part(start, length)
        with self._telling(f"{_checked(key)} cannot be read from") as place:
            return place.read(key, start, None if length is None else start + length)

    def chunks(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes] | None:
        """What `read` would give, in pieces of at most 1 MiB, all of one writing.

        The first piece is read at once, so that most of what fails does so before a caller begins
        an answer. When the result is deleted or replaced meanwhile, the iterator of a local folder
        goes on, and that of S3 raises `ResultsUnavailable`.
        """
        _check_part(start, length)
        what = f"{_checked(key)} cannot be read from"
        with self._telling(what) as place:
            pieces = place.pieces(key, start, length)
        return None if pieces is None else self._told(what, pieces)

    def _told(self, what: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        with self._telling(what):
            yield from pieces

    def delete(self, key: str) -> None:
        """Deletes a result, if it is there."""
        self._remove(_checked(key))

    def listing(self) -> tuple[Stored, ...]:
        """All results, with their sizes in bytes and when each was stored."""
        return tuple(file for file in self._files() if _KEY.fullmatch(file.key))

    def sweep(self, now_s: float) -> tuple[str, ...]:
        """Deletes what `cluster.retention` says, and returns the keys; now in seconds since 1970.

        Several sweepers may be at it at once.
        """
        files = self._files()
        results = [file for file in files if _KEY.fullmatch(file.key)]
        decided = deletions(results, now_s, self.config.max_age_s, self.config.max_bytes)
        for deletion in decided:
            self._remove(deletion.key)
            logger.info("deleted %s: %s", deletion.key, deletion.reason)
        for file in files:
            if _PART.fullmatch(file.key) and now_s - file.stored_at_s > _ABANDONED_S:
                self._remove(file.key)
                logger.info("deleted %s: its writer died", file.key)
        return tuple(deletion.key for deletion in decided)

    def _files(self) -> list[Stored]:
        with self._telling("results cannot be listed in") as place:
            return place.files()

    def _remove(self, name: str) -> None:
        with self._telling(f"{name} cannot be deleted from") as place:
            place.remove(name)

    @contextmanager
    def _telling(self, what: str) -> Iterator[Place]:
        """The place; what it cannot do becomes a sentence that begins with `what`."""
        if self._reached is None or self._reached.process_id != os.getpid():
            self._reached = reach(self.config)
        try:
            yield self._reached
        except self._reached.errors as error:
            raise unavailable(what, self.config, error) from error


def content_type(head: bytes) -> str:
    """The media type of a file by its first `HEAD_BYTES` bytes.

    Signatures: PNG and JPEG from their standards, WebP from RFC 9649, MP4 from ISO/IEC 14496-12
    with the brands that FFmpeg writes.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp" and head[8:12] in _MP4_BRANDS:
        return "video/mp4"
    return "application/octet-stream"


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key) or ".." in key:
        raise ValueError(f"no key of a result, which is as images/img_ab12_0: {key!r:.80}")
    return key


def _check_part(start: int, length: int | None) -> None:
    if start < 0 or (length is not None and length < 1):
        raise ValueError(f"no part of a result: {length} bytes from {start}")
