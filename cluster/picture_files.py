"""How a picture's file is put together, looked at before any of it is decoded.

A decoder's work follows from the pixels, which the header states, times the passes over them, which
it does not: a JPEG file of 12 kB with 1,000 scans takes 1,000 times as long as one with a single
scan. Pieces without any pixels cost time as well, one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

SCANS_MAX = 100
"""Of a JPEG file; libjpeg's own progressive files have ten."""

SEGMENTS_MAX = 2000
"""Of a JPEG file: a colour profile may have 255, and few cameras write more than a hundred."""

STRAY_BYTES_MAX = 10_000
"""Of a JPEG file: those between segments, which belong to none."""

CHUNKS_MAX = 100_000
"""Of a PNG file: 50 MB of pixels are 6,400 of the 8 kB that libpng writes at once."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"

_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_ALONE = frozenset({0x01, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})
"""Markers without a segment, for Pillow, which reads the file up to its first scan."""

_MARKER = re.compile(rb"\xff([\x01-\xfe])")
_AFTER_PIXELS = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""Among pixels a byte of ones is followed by zero or by a restart marker, and else ends them."""


def structure_problem(file: bytes) -> str | None:
    """Why a PNG or JPEG file has too many pieces; None where it has not, or is neither."""
    if file.startswith(_JPEG):
        return _jpeg_problem(file)
    if file.startswith(_PNG) and _more_than(_png_chunks(file), CHUNKS_MAX):
        return f"has more than {CHUNKS_MAX} chunks"
    return None


def _jpeg_problem(file: bytes) -> str | None:
    """Follows the markers up to the end of the first image (ITU-T T.81, annex B)."""
    scans = segments = stray = 0
    place, pattern = len(_JPEG), _MARKER
    while found := pattern.search(file, place):
        marker = found[1][0]
        if marker == _END_OF_IMAGE and scans:
            break
        segments += 1
        scans += marker == _START_OF_SCAN
        stray += found.start() - place if pattern is _MARKER else 0
        for number, most, pieces in (
            (scans, SCANS_MAX, "scans"),
            (segments, SEGMENTS_MAX, "segments"),
            (stray, STRAY_BYTES_MAX, "bytes between its segments"),
        ):
            if number > most:
                return f"has more than {most} {pieces}"
        place = found.end()
        if marker not in _ALONE:
            place += max(2, int.from_bytes(file[place : place + 2]))
        pattern = _AFTER_PIXELS if marker == _START_OF_SCAN else _MARKER
    return None


def _png_chunks(file: bytes) -> Iterator[int]:
    """Where each chunk begins: length, type, body and checksum."""
    place = len(_PNG)
    while place < len(file):
        yield place
        place += 12 + int.from_bytes(file[place : place + 4])


def _more_than(pieces: Iterator[int], most: int) -> bool:
    return next(islice(pieces, most, None), None) is not None
