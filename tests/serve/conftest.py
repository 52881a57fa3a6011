"""One cluster for all tests that do not break it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.serve.clips import clips_model
from tests.serve.server import Server, serving, write_config
from tests.storage.s3 import S3Server, s3_server
from tests.storage_sql.postgres import PostgresServer, postgres_server

MAX_QUEUED = 6
GATEWAYS = 3


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Pictures and clips, behind several gateways."""
    folder: Path = tmp_path_factory.mktemp("serve")
    config = write_config(
        folder / "config.yaml",
        max_queued=MAX_QUEUED,
        more_models=[clips_model(folder)],
        cluster={"gateways": GATEWAYS},
    )
    with serving(config, folder) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def sdk(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key="not-used", max_retries=0, timeout=120
    ) as client:
        yield client


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running
