"""Pictures' files by their pieces: whole ones are left alone, and costly ones found in no time."""

from __future__ import annotations

import io
import struct
import time
import zlib
from typing import Any

import pytest
from PIL import Image

from cluster.picture_files import CHUNKS_MAX, SCANS_MAX, SEGMENTS_MAX, structure_problem


def saved(kind: str, side: int = 16, mode: str = "RGB", **settings: Any) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((side, side), 90).convert(mode).save(file, kind, **settings)
    return file.getvalue()


def png_chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


JPEG = saved("JPEG")
PNG = saved("PNG")
PROGRESSIVE = saved("JPEG", 200, progressive=True)


def with_scans(more: int) -> bytes:
    """The last scan of a progressive file again and again: it refines what is refined."""
    start, end = PROGRESSIVE.rindex(b"\xff\xda"), PROGRESSIVE.rindex(b"\xff\xd9")
    return PROGRESSIVE[:end] + PROGRESSIVE[start:end] * more + PROGRESSIVE[end:]


@pytest.mark.parametrize(
    "file",
    [
        JPEG,
        PROGRESSIVE,
        with_scans(SCANS_MAX - 10),
        saved("JPEG", 700, quality=100, progressive=True, icc_profile=bytes(5_000_000)),
        saved("JPEG", 64, exif=b"Exif\0\0" + PROGRESSIVE[:40_000] * 2, comment=PROGRESSIVE),
        saved("JPEG", 64, restart_marker_blocks=1),
        saved("JPEG", 64, mode="CMYK"),
        JPEG + with_scans(1000),
        JPEG[:-2],
        JPEG[:50],
        PNG,
        saved("PNG", 700),
        saved("WEBP"),
        saved("GIF"),
        b"",
        b"\xff\xd8",
    ],
)
def test_what_programs_write_has_no_problem(file: bytes) -> None:
    assert structure_problem(file) is None


def test_a_picture_of_48_million_pixels_in_small_chunks_is_taken() -> None:
    pieces = b"".join(png_chunk(b"IDAT", bytes(1000)) for _ in range(50_000))
    assert structure_problem(PNG[:33] + pieces) is None


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (with_scans(SCANS_MAX), "scans"),
        (with_scans(100_000), "scans"),
        (JPEG[:2] + b"\xff\xfe\x00\x02" * 1_000_000 + JPEG[2:], "segments"),
        (JPEG[:2] + b"\xff\xd0" * SEGMENTS_MAX + JPEG[2:], "segments"),
        (JPEG[:2] + b"\xff\xd9" + b"\xff\xfe\x00\x02" * 1_000_000 + JPEG[2:], "segments"),
        (JPEG[:2] + (b"\xff\xf0\xff\xff" + b"\xff\xfe\x00\x02" * 16_000) * 60, "segments"),
        (JPEG[:2] + b"\xff" * 4_000_000 + JPEG[2:], "bytes between"),
        (JPEG[:2] + b"\xff\x00" * 2_000_000 + JPEG[2:], "bytes between"),
        (PNG[:33] + png_chunk(b"abCd") * CHUNKS_MAX + PNG[33:], "chunks"),
    ],
    ids=[
        "scans",
        "many scans",
        "comments",
        "restart markers",
        "after an end before any scan",
        "behind a marker that has no length",
        "fill",
        "escaped ones",
        "chunks",
    ],
)
def test_pieces_that_cost_time_and_hold_no_pixels_are_found_soon(file: bytes, problem: str) -> None:
    started = time.perf_counter()
    found = structure_problem(file)
    assert time.perf_counter() - started < 0.5
    assert found is not None
    assert problem in found
