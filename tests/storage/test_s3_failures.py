"""What S3 cannot do, told in one sentence that names what and where."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cluster.errors import ResultsUnavailable
from tests.storage.places import KEY, Place, pattern
from tests.storage.s3 import S3Server, s3_server

NO_RETRIES = {"config_kwargs": {"retries": {"max_attempts": 0}}}


def test_a_bucket_that_does_not_exist_is_told_in_one_sentence_by_every_call(s3: S3Server) -> None:
    store = Place("s3://no-such-bucket/results", {"endpoint_url": s3.endpoint_url}).store()
    calls = {
        f"{KEY} cannot be written to": lambda: store.put(KEY, b"a"),
        f"{KEY} cannot be found in": lambda: store.size(KEY),
        f"{KEY} cannot be read from": lambda: store.read(KEY),
        f"{KEY} cannot be deleted from": lambda: store.delete(KEY),
        "results cannot be listed in": lambda: store.sweep(time.time()),
    }
    for says, call in calls.items():
        with pytest.raises(ResultsUnavailable) as caught:
            call()
        assert caught.value.message == (
            f"{says} s3://no-such-bucket/results: The specified bucket does not exist"
        )


def test_an_endpoint_where_nobody_listens_is_told_in_one_sentence(s3: S3Server) -> None:
    options = {"endpoint_url": "http://127.0.0.1:9"} | NO_RETRIES
    store = Place("s3://bucket/results", options).store()
    with pytest.raises(ResultsUnavailable) as caught:
        store.put(KEY, b"a")
    assert caught.value.message.startswith(f"{KEY} cannot be written to s3://bucket/results: ")
    assert "http://127.0.0.1:9" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_server_that_ends_in_the_middle_of_an_answer_is_told_in_one_sentence() -> None:
    with s3_server() as server:
        server.make_bucket("results")
        options = {"endpoint_url": server.endpoint_url} | NO_RETRIES
        store = Place("s3://results", options).store()
        store.put(KEY, pattern(3_000_000))
        pieces = store.chunks(KEY)
        assert pieces is not None
        next(pieces)
    with pytest.raises(ResultsUnavailable) as caught:
        list(pieces)
    assert caught.value.message.startswith(f"{KEY} cannot be read from s3://results: ")
    assert "\n" not in caught.value.message


@pytest.mark.usefixtures("s3")
def test_an_environment_without_credentials_is_told_as_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    store = Place("s3://bucket", {"endpoint_url": "http://127.0.0.1:9", "use_ssl": False}).store()
    with pytest.raises(ResultsUnavailable, match=r"cannot be found in s3://bucket: .*credentials"):
        store.size(KEY)


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("url", "options", "why"),
    [
        ("s3://bucket", {"endpont_url": "http://127.0.0.1:9"}, "endpont_url"),
        ("s3://bucket", {"endpoint_url": "nowhere"}, "nowhere"),
        ("s4://bucket", {}, "s4"),
    ],
)
def test_a_place_that_cannot_be_understood_is_told_by_the_first_call(
    url: str, options: dict[str, Any], why: str
) -> None:
    store = Place(url, options).store()
    with pytest.raises(ResultsUnavailable, match=f"results cannot be reached at {url}: .*{why}"):
        store.put(KEY, b"a")
