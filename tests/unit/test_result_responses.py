"""Stored results over HTTP: whole, in part, known already, or not there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from cluster.byte_ranges import ByteRange, Unsatisfiable, byte_range
from cluster.errors import NotFound
from cluster.results import ResultsConfig
from deployments.result_responses import content_response
from deployments.results import ResultStore
from deployments.shelves import IMAGES

ID = "img_" + "a1" * 12 + "_0"
FILE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
LARGE = b"\xff\xd8\xff" + bytes(3 * 1024 * 1024)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    store = ResultStore(ResultsConfig(url=str(tmp_path_factory.mktemp("results"))))
    store.put(IMAGES.key(ID), FILE)
    store.put(IMAGES.key(ID.replace("_0", "_1")), LARGE)
    return store


@pytest.fixture(scope="module")
def client(results: ResultStore) -> Iterator[TestClient]:
    app = FastAPI()

    @app.api_route("/{result_id}", methods=["GET", "HEAD"])
    async def content(request: Request, result_id: str) -> Response:
        return await content_response(request, results, IMAGES, result_id)

    with TestClient(app) as client:
        yield client


def test_a_result_comes_whole_with_the_type_of_its_bytes(client: TestClient) -> None:
    answer = client.get(ID)
    assert (answer.status_code, answer.content) == (200, FILE)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(FILE))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == f'inline; filename="{ID}.png"'


def test_a_result_of_several_chunks_comes_whole_too(client: TestClient) -> None:
    answer = client.get(ID.replace("_0", "_1"))
    assert answer.content == LARGE
    assert answer.headers["content-type"] == "image/jpeg"
    part = client.get(ID.replace("_0", "_1"), headers={"Range": "bytes=2-2097153"})
    assert (part.status_code, part.content) == (206, LARGE[2:2097154])


@pytest.mark.parametrize(
    ("asked", "told", "content"),
    [
        ("bytes=0-0", f"bytes 0-0/{len(FILE)}", FILE[:1]),
        ("bytes=10-19", f"bytes 10-19/{len(FILE)}", FILE[10:20]),
        ("bytes=5120-", f"bytes 5120-5127/{len(FILE)}", FILE[5120:]),
        ("bytes=-8", f"bytes 5120-5127/{len(FILE)}", FILE[-8:]),
        ("bytes=0-99999", f"bytes 0-5127/{len(FILE)}", FILE),
    ],
)
def test_a_part_is_told_and_no_more_than_that_is_sent(
    client: TestClient, asked: str, told: str, content: bytes
) -> None:
    answer = client.get(ID, headers={"Range": asked})
    assert (answer.status_code, answer.headers["content-range"]) == (206, told)
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))


@pytest.mark.parametrize("asked", ["bytes=5128-", "bytes=99999-", "bytes=-0"])
def test_a_part_that_is_not_there_is_refused_with_the_size(client: TestClient, asked: str) -> None:
    answer = client.get(ID, headers={"Range": asked})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */5128")
    told = answer.json()["error"]
    assert told["message"] == "Range: there are no such bytes (5128 in all)"
    assert "etag" not in answer.headers
    assert "cache-control" not in answer.headers


NUMBERS = st.integers(0, 6000).map(str) | st.just("")


@given(NUMBERS, NUMBERS)
def test_every_range_is_answered_with_the_bytes_that_it_means(
    client: TestClient, first: str, last: str
) -> None:
    asked = f"bytes={first}-{last}"
    answer = client.get(ID, headers={"Range": asked})
    match byte_range(asked, len(FILE)):
        case ByteRange(start, length):
            assert (answer.status_code, answer.content) == (206, FILE[start : start + length])
        case Unsatisfiable():
            assert answer.status_code == 416
        case None:
            assert (answer.status_code, answer.content) == (200, FILE)


def test_a_head_request_has_the_headers_of_the_whole_result(client: TestClient) -> None:
    for headers in ({}, {"Range": "bytes=0-3"}, {"Range": "bytes=99999-"}):
        answer = client.head(ID, headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(len(FILE))
        assert answer.headers["etag"] == f'"{ID}"'


@pytest.mark.parametrize(
    ("known", "status"),
    [
        (f'"{ID}"', 304),
        (f'W/"{ID}"', 304),
        (f'"other", "{ID}"', 304),
        ("*", 304),
        ('"other"', 200),
        (ID, 200),
        ("", 200),
    ],
)
def test_what_the_caller_has_is_not_sent_again(client: TestClient, known: str, status: int) -> None:
    answer = client.get(ID, headers={"If-None-Match": known})
    assert (answer.status_code, answer.content) == (status, b"" if status == 304 else FILE)
    assert answer.headers["etag"] == f'"{ID}"'


@pytest.mark.parametrize(
    ("of", "status"),
    [
        (f'"{ID}"', 206),
        (f'W/"{ID}"', 200),
        ('"other"', 200),
        ("Wed, 25 Nov 2026 00:00:00 GMT", 200),
    ],
)
def test_a_part_of_another_file_is_not_sent_for_one_of_this(
    client: TestClient, of: str, status: int
) -> None:
    answer = client.get(ID, headers={"Range": "bytes=0-3", "If-Range": of})
    assert answer.status_code == status


@pytest.mark.parametrize(
    "result_id",
    ["img_" + "0" * 24 + "_0", ID[:-2], ID + "0000", ID + "%0a", "videos", "..%5cx", "%00"],
)
def test_what_is_not_there_is_not_found_and_no_other_name_is_looked_for(
    client: TestClient, results: ResultStore, result_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def read(key: str, *part: int) -> None:
        asked.append(IMAGES.id_of(key))

    monkeypatch.setattr(results, "read", read)
    with pytest.raises(NotFound):
        client.get(f"/{result_id}")
    assert all(IMAGES.ids.fullmatch(each) for each in asked)


def test_a_result_that_expires_between_two_looks_is_not_found(
    client: TestClient, results: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "chunks", lambda *part: None)
    with pytest.raises(NotFound):
        client.get(ID)
