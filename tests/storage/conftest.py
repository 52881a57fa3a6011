"""A place for results that is empty for each test, in a folder and on a real S3 API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from deployments.results import ResultStore
from tests.storage.places import Place
from tests.storage.s3 import S3Server, s3_server


@pytest.fixture(scope="package")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(str(tmp_path / "results"), {})
    server: S3Server = request.getfixturevalue("s3")
    bucket = server.make_bucket(f"results-{uuid4().hex}")
    return Place(f"{bucket}/dit/serve/", {"endpoint_url": server.endpoint_url})


@pytest.fixture
def store(place: Place) -> ResultStore:
    return place.store()
