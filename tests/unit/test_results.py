"""The result store in a local folder: its keys, its failures, and what a dead writer leaves."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from cluster.errors import ResultsUnavailable
from cluster.results import ResultsConfig
from deployments.results import HEAD_BYTES, ResultStore, content_type

KEY = "images/img_ab12_0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "var" / "results"


@pytest.fixture
def store(folder: Path) -> ResultStore:
    return ResultStore(ResultsConfig(url=str(folder)))


@contextmanager
def files_of_at_most(limit_bytes: int) -> Iterator[None]:
    """The kernel refuses to let files of this process grow further, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "img_ab12",
        "images/",
        "/etc/passwd",
        "images/../secret",
        "../images/img",
        "images/..",
        "images/a..b",
        "images/.hidden",
        "images/a/b",
        "Images/a",
        "images/a b",
        "images/a\n",
        "images/a%2e",
        "images\\a",
    ],
)
def test_what_is_no_key_is_refused_by_every_call(store: ResultStore, key: str):
    calls = [store.size, store.exists, store.read, store.chunks, store.delete]
    for call in [*calls, lambda key: store.put(key, b"a")]:
        with pytest.raises(ValueError, match="no key of a result"):
            call(key)


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, 0), (0, -1)])
def test_what_is_no_part_of_a_result_is_refused(store: ResultStore, start: int, length: int | None):
    for read in (store.read, store.chunks):
        with pytest.raises(ValueError, match="no part of a result"):
            read(KEY, start, length)


def test_a_relative_folder_stays_where_it_was_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    store = ResultStore(ResultsConfig())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.put(KEY, b"a picture")
    assert (tmp_path / "var" / "results" / KEY).read_bytes() == b"a picture"


def test_any_filesystem_of_fsspec_will_do():
    store = ResultStore(ResultsConfig(url="memory://test-results", max_age_s=60))
    store.put(KEY, b"the first")
    store.put(KEY, b"a picture")
    assert (store.size(KEY), store.read(KEY, 2, 4)) == (9, b"pict")
    assert [result.key for result in store.listing()] == [KEY]
    assert store.sweep(time.time() + 61) == (KEY,)
    assert not store.exists(KEY)


def test_a_write_that_fails_is_told_and_leaves_what_was_there(store: ResultStore, folder: Path):
    store.put(KEY, b"a picture")
    with files_of_at_most(1_000_000), pytest.raises(ResultsUnavailable) as caught:
        store.put(KEY, bytes(2_000_000))
    assert caught.value.message == f"{KEY} cannot be written to {folder}: File too large"
    assert store.read(KEY) == b"a picture"
    assert os.listdir(folder / "images") == ["img_ab12_0"]


def test_a_file_where_the_folder_should_be_is_told_in_one_sentence(
    store: ResultStore, folder: Path
):
    folder.parent.mkdir()
    folder.write_bytes(b"")
    with pytest.raises(ResultsUnavailable) as caught:
        store.put(KEY, b"a picture")
    assert caught.value.message.startswith(f"{KEY} cannot be written to {folder}: ")
    with pytest.raises(ResultsUnavailable, match=r"cannot be read from .*: Not a directory"):
        store.read(KEY)


def test_what_a_dead_writer_left_is_no_result_and_goes_after_an_hour(
    store: ResultStore, folder: Path
):
    store.put(KEY, b"a picture")
    part = folder / "images" / ".img_cd34_0.0123abcd.part"
    part.write_bytes(b"half of a pict")
    assert [result.key for result in store.listing()] == [KEY]
    assert store.sweep(time.time() + 1800) == ()
    assert part.exists()
    assert store.sweep(time.time() + 3660) == ()
    assert not part.exists()
    assert store.exists(KEY)


def test_a_sweep_leaves_alone_what_is_no_result(store: ResultStore, folder: Path):
    store.put(KEY, b"a picture")
    others = [folder / "README", folder / "images" / ".keep", folder / "images" / "deeper" / "a"]
    for other in others:
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(b"of somebody else")
    assert store.sweep(time.time() + 10 * 86_400) == (KEY,)
    assert all(other.exists() for other in others)


def test_importing_the_store_imports_neither_fsspec_nor_what_it_needs_nor_ray():
    code = (
        "import sys, deployments.results; "
        "print({'fsspec', 's3fs', 'botocore', 'ray', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def picture(file_format: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(file, file_format)
    return file.getvalue()


def clip() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 16
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))
        container.mux([*stream.encode(frame), *stream.encode()])
    return file.getvalue()


@pytest.mark.parametrize(
    ("file", "is_of"),
    [
        (picture("PNG"), "image/png"),
        (picture("JPEG"), "image/jpeg"),
        (picture("WEBP"), "image/webp"),
        (clip(), "video/mp4"),
        (picture("GIF"), "application/octet-stream"),
        (b"RIFF\x24\x00\x00\x00WAVE", "application/octet-stream"),
        (b"\x00\x00\x00\x1cftypavif", "application/octet-stream"),
        (b"<!doctype html>", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
    ids=["png", "jpeg", "webp", "mp4", "gif", "wave", "avif", "html", "empty"],
)
def test_a_file_is_known_by_its_first_bytes(file: bytes, is_of: str):
    assert content_type(file[:HEAD_BYTES]) == is_of
