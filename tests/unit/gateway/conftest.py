"""The gateway's application without Ray's cluster: routers are a stand-in, all else is real."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from cluster.config import ClusterConfig
from cluster.results import ResultsConfig
from deployments.job_store import JobStore
from deployments.results import ResultStore
from tests.unit.gateway.documented import Document

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, while it is imported
    from deployments import video_runner
    from deployments.http_app import http_app
    from deployments.video_runner import VideoRunner
    from tests.unit.gateway.stand_in import Routers
    from tests.unit.gateway.video_gateways import Gateways

LIMITS = {"max_side": 256, "max_pixels": 32768, "max_steps": 50, "max_images": 4, "max_frames": 17}


def a_model(name: str, pipeline: str, **fields: Any) -> dict[str, Any]:
    pools = [{"name": "cpu", "device": "cpu", "dtype": "float32"}]
    return {
        "name": name,
        "source": f"someones/{name}",
        "pipeline": pipeline,
        "default_size": "64x32",
        "default_steps": 8,
        "limits": LIMITS,
        "pools": pools,
    } | fields


def config_in(folder: Path) -> ClusterConfig:
    """A model for pictures, and one each for clips from text and from a picture."""
    models = [
        a_model("shapes", "FluxPipeline"),
        a_model("clips", "WanPipeline", default_frames=5, default_fps=8),
        a_model("moving", "WanImageToVideoPipeline", default_frames=5, default_fps=8),
    ]
    args = {
        "models": models,
        "database_url": f"sqlite:///{folder}/jobs.db",
        "results": {"url": str(folder / "results")},
        "max_body_bytes": 20_000,
        "max_upload_bytes": 200_000,
        "auth": {"keys": "none", "open_to_network": True},
    }
    return ClusterConfig.model_validate(args)


@pytest.fixture
def config(tmp_path: Path) -> ClusterConfig:
    return config_in(tmp_path)


@pytest.fixture
def results(config: ClusterConfig) -> ResultStore:
    return ResultStore(config.results)


@pytest.fixture
def store(config: ClusterConfig) -> Iterator[JobStore]:
    store = JobStore(config.database_url, keep_s=ResultsConfig().max_age_s)
    yield store
    store.close()


@pytest.fixture
def routers(config: ClusterConfig, results: ResultStore) -> Routers:
    return Routers(config, results)


@pytest.fixture
def runner(
    config: ClusterConfig, routers: Routers, store: JobStore, results: ResultStore
) -> VideoRunner:
    """Of videos; it is not started."""
    return VideoRunner(config, routers, store, results)


@pytest.fixture
def app(
    config: ClusterConfig,
    routers: Routers,
    store: JobStore,
    results: ResultStore,
    runner: VideoRunner,
) -> FastAPI:
    """What a gateway serves."""
    return http_app(config, routers, store, results, runner)


@pytest.fixture(scope="session")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    config = config_in(tmp_path_factory.mktemp("document"))
    results = ResultStore(config.results)
    store = JobStore(config.database_url, keep_s=1.0)
    routers = Routers(config, results)
    runner = VideoRunner(config, routers, store, results)
    return Document(http_app(config, routers, store, results, runner).openapi())


@pytest.fixture
def client(app: FastAPI, document: Document) -> Iterator[TestClient]:
    """Every answer that it gets must be one of the OpenAPI document."""
    with TestClient(app, raise_server_exceptions=False) as client:
        client.event_hooks["response"].append(document.check)
        yield client


@pytest.fixture
def asking(client: TestClient) -> Callable[..., Any]:
    """Posts JSON and gives what is answered with 200."""

    def ask(path: str, **fields: Any) -> Any:
        answer = client.post(path, json={"prompt": "a red circle"} | fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture
def gateways(
    config: ClusterConfig,
    routers: Routers,
    store: JobStore,
    results: ResultStore,
    monkeypatch: pytest.MonkeyPatch,
) -> Gateways:
    """In them everything that happens now and then happens much sooner."""
    for period in ("RENEW_S", "LOOK_S", "AGAIN_S"):
        monkeypatch.setattr(video_runner, period, 0.05)
    return Gateways(config, routers, store, results)
