"""Which bytes of a file a `Range` header asks for, by RFC 9110, section 14."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"([0-9]*)-([0-9]*)")
_DIGITS = 18
"""A number of more digits is cut to this many and one: still beyond the end of any file."""


@dataclass(frozen=True)
class ByteRange:
    """A part of a file, at least one byte: the answer is 206."""

    start: int
    length: int

    def content_range(self, size_bytes: int) -> str:
        """The value of the answer's `Content-Range`."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size_bytes}"


@dataclass(frozen=True)
class Unsatisfiable:
    """The file has no such bytes: the answer is 416."""

    def content_range(self, size_bytes: int) -> str:
        """The value of the answer's `Content-Range`, which tells the size that there is."""
        return f"bytes */{size_bytes}"


def byte_range(header: str | None, size_bytes: int) -> ByteRange | Unsatisfiable | None:
    """What a `Range` header asks of a file of so many bytes.

    None means the whole file, answered 200: there is no header, it cannot be understood, or it
    asks for several ranges, which a server may ignore (section 14.2).
    """
    unit, separator, ranges = (header or "").partition("=")
    if not separator or unit.strip(" \t").lower() != "bytes":
        return None
    specs = [spec for spec in (part.strip(" \t") for part in ranges.split(",")) if spec]
    match = _RANGE.fullmatch(specs[0]) if len(specs) == 1 else None
    if match is None:
        return None
    first, last = match.groups()
    if first:
        return _from_position(_number(first), _number(last) if last else None, size_bytes)
    return _from_end(_number(last), size_bytes) if last else None


def _from_position(
    first: int, last: int | None, size_bytes: int
) -> ByteRange | Unsatisfiable | None:
    if last is not None and last < first:
        return None
    if first >= size_bytes:
        return Unsatisfiable()
    end = size_bytes if last is None else min(last + 1, size_bytes)
    return ByteRange(first, end - first)


def _from_end(suffix_bytes: int, size_bytes: int) -> ByteRange | Unsatisfiable | None:
    """The last bytes. All of an empty file can be had, but not told in a `Content-Range`."""
    if suffix_bytes == 0:
        return Unsatisfiable()
    if size_bytes == 0:
        return None
    length = min(suffix_bytes, size_bytes)
    return ByteRange(size_bytes - length, length)


def _number(digits: str) -> int:
    return int(digits.lstrip("0")[: _DIGITS + 1] or "0")
