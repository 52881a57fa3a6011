"""What a `Range` header asks for: RFC 9110's examples, and what holds for every header."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cluster.byte_ranges import ByteRange, Unsatisfiable, byte_range

SIZE = 10_000

sizes = st.integers(0, 10**12)
positions = st.integers(0, 10**13)


@pytest.mark.parametrize(
    ("header", "start", "last"),
    [
        ("bytes=0-499", 0, 499),
        ("bytes=500-999", 500, 999),
        ("bytes=-500", 9_500, 9_999),
        ("bytes=9500-", 9_500, 9_999),
        ("bytes=0-0", 0, 0),
        ("bytes=-1", 9_999, 9_999),
        ("bytes=0-", 0, 9_999),
        ("bytes=9999-", 9_999, 9_999),
        ("bytes=0-20000", 0, 9_999),
        ("bytes=-20000", 0, 9_999),
        ("bytes=0007-08", 7, 8),
        ("Bytes=0-1", 0, 1),
        ("bytes= 0-1 ", 0, 1),
        ("bytes=0-1,", 0, 1),
    ],
)
def test_one_range_is_answered_with_its_bytes(header: str, start: int, last: int):
    asked = byte_range(header, SIZE)
    assert asked == ByteRange(start, last - start + 1)
    assert asked.content_range(SIZE) == f"bytes {start}-{last}/10000"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=,",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-4",
        "bytes=1-2-3",
        "bytes=--5",
        "bytes=+1-2",
        "bytes=1_0-20",
        "bytes=1 - 2",
        "bytes=0x1-2",
        "bytes=\u0661-\u0662",
        "pages=1-2",
        "bytes=0-1,5-6",
        "bytes=0-0,-1",
        "bytes=5-4,0-1",
    ],
)
def test_what_is_absent_malformed_or_several_is_answered_whole(header: str | None):
    assert byte_range(header, SIZE) is None


@pytest.mark.parametrize("header", ["bytes=10000-", "bytes=10000-10001", "bytes=-0"])
def test_bytes_that_are_not_there_are_unsatisfiable_and_the_size_is_told(header: str):
    asked = byte_range(header, SIZE)
    assert asked == Unsatisfiable()
    assert asked.content_range(SIZE) == "bytes */10000"


def test_an_empty_file_has_no_bytes_at_any_position_and_is_given_whole_from_its_end():
    assert byte_range("bytes=0-", 0) == Unsatisfiable()
    assert byte_range("bytes=-5", 0) is None


@pytest.mark.parametrize("header", [f"bytes={'9' * 5000}-", f"bytes=0-{'9' * 5000}"])
def test_a_number_of_any_length_is_only_large(header: str):
    whole_or_nothing = byte_range(header, SIZE)
    assert whole_or_nothing in (Unsatisfiable(), ByteRange(0, SIZE))


@given(first=positions, last=positions, size_bytes=sizes)
def test_a_range_of_two_positions_gives_those_bytes_that_exist(
    first: int, last: int, size_bytes: int
):
    asked = byte_range(f"bytes={first}-{last}", size_bytes)
    if last < first:
        assert asked is None
    elif first >= size_bytes:
        assert asked == Unsatisfiable()
    else:
        assert isinstance(asked, ByteRange)
        assert asked.start == first
        assert asked.start + asked.length - 1 == min(last, size_bytes - 1)


@given(suffix_bytes=st.integers(1, 10**13), size_bytes=st.integers(1, 10**12))
def test_a_range_from_the_end_ends_with_the_file(suffix_bytes: int, size_bytes: int):
    asked = byte_range(f"bytes=-{suffix_bytes}", size_bytes)
    assert isinstance(asked, ByteRange)
    assert asked.length == min(suffix_bytes, size_bytes)
    assert asked.start + asked.length == size_bytes


@given(header=st.text() | st.text("bytes=0123456789-, \t").map("bytes=".__add__), size_bytes=sizes)
@example(header="bytes=\u00b2-", size_bytes=5)
def test_no_header_asks_for_bytes_outside_the_file(header: str, size_bytes: int):
    asked = byte_range(header, size_bytes)
    if isinstance(asked, ByteRange):
        assert asked.length >= 1
        assert asked.start >= 0
        assert asked.start + asked.length <= size_bytes
