"""The gateway's application with a stand-in for the routers, as a target for made-up requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from cluster.auth import AuthConfig
from cluster.config import ClusterConfig
from cluster.errors import DitServeError, EngineFailed, NoReplica, OutOfReach, QueueFull
from cluster.job import job_of
from deployments.job_store import JobStore
from deployments.results import ResultStore
from tests.unit.gateway.conftest import VideoRunner, config_in, http_app
from tests.unit.gateway.documented import Document
from tests.unit.gateway.stand_in import CLIP, Routers

GOOD = {"prompt": "a red circle", "seed": 7}

REFUSALS: tuple[DitServeError | None, ...] = (
    None,
    QueueFull("the line is full", retry_after_s=1.5),
    OutOfReach("too late", param="deadline_ms", retry_after_s=2, earliest_feasible_s=9.5),
    NoReplica("no replica yet", retry_after_s=2),
    EngineFailed("out of memory"),
)
"""What routers answer in turn; None is a picture."""

_REPLICAS = {name: {"cpu": 1} for name in ("shapes", "clips", "moving")}


class Target:
    """The application, and how to see that it is well."""

    def __init__(self, app: FastAPI, client: TestClient, store: JobStore, routers: Routers) -> None:
        self.app = app
        self.client = client
        self.document = Document(app.openapi())
        self.routers = routers
        self._store = store
        self.image_id = self._a_picture()
        self.video_ids = self._videos()
        self._right = self._good_answer()

    def is_well(self) -> None:
        """Asserts that it lives, and answers a good request as it did before all others."""
        assert self.client.get("/health").json() == {"status": "ok"}
        assert self._good_answer() == self._right

    def replenish(self) -> None:
        """Videos anew, after one was deleted."""
        self.video_ids = self._videos()

    def _good_answer(self) -> Any:
        self.routers.refusal = None
        answer = self.client.post("/v1/images/generations", json=GOOD)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def _a_picture(self) -> str:
        body: dict[str, Any] = GOOD | {"response_format": "url"}
        url = self.client.post("/v1/images/generations", json=body).json()["data"][0]["url"]
        return str(url).split("/")[-2]

    def _videos(self) -> list[str]:
        """One that is done, and one that waits."""
        done, waits = (self.client.post("/v1/videos", json=GOOD).json()["id"] for _ in range(2))
        video = None
        while video is None or video.id != done:
            video = self._store.claim("here", time.time(), lease_s=60.0, max_attempts=99)
        receipt = self.routers.result_of(job_of(video.job)).receipt.model_dump(mode="json")
        self._store.complete(done, "here", time.time(), receipt=receipt, result_bytes=len(CLIP))
        return [done, waits]


@contextmanager
def target(folder: Path) -> Iterator[Target]:
    """A gateway of its own in that folder, which is well at the end too."""
    with _gateway(config_in(folder)) as (app, store, routers):
        routers.answers = {"replicas": _REPLICAS}
        with TestClient(app, raise_server_exceptions=False) as client:
            found = Target(app, client, store, routers)
            yield found
            found.is_well()


@contextmanager
def closed_app(folder: Path) -> Iterator[FastAPI]:
    """An application that asks for keys, of which there is none."""
    with _gateway(config_in(folder).model_copy(update={"auth": AuthConfig()})) as (app, _, _):
        yield app


@contextmanager
def _gateway(config: ClusterConfig) -> Iterator[tuple[FastAPI, JobStore, Routers]]:
    results = ResultStore(config.results)
    store = JobStore(config.database_url, keep_s=3600.0)
    routers = Routers(config, results)
    runner = VideoRunner(config, routers, store, results)
    yield http_app(config, routers, store, results, runner), store, routers
    store.close()
