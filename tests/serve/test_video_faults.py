"""A video outlives what makes it: gateway, router, replica and database die; PostgreSQL and S3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.serve.clips import clips_model
from tests.serve.server import Server, serving, write_config
from tests.storage.s3 import ENVIRONMENT, S3Server
from tests.storage_sql.postgres import PASSWORD, PostgresServer

pytestmark = [pytest.mark.ray, pytest.mark.slow]

LONG = {"prompt": "a red circle", "seed": 3, "tier": "none", "num_inference_steps": 1500}
SHORT = LONG | {"num_inference_steps": 8}
DONE_S = 120.0

KEPT_BY_RAY = """
import sys
from ray._raylet import GcsClient
gcs = GcsClient(address=sys.argv[1])
for namespace in (b"serve", b"fun"):
    for key in gcs.internal_kv_keys(b"", namespace):
        sys.stdout.buffer.write(gcs.internal_kv_get(key, namespace))
"""
"""Writes what Ray's head has stored of Serve, its checkpoints, and of pickled code."""

ROUTER_DEATHS = 3


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, s3: S3Server, postgres: PostgresServer
) -> Iterator[Server]:
    """Clips alone, behind two gateways; SIGUSR2 makes a process fail in its next step."""
    folder: Path = tmp_path_factory.mktemp("faults")
    config = write_config(
        folder / "config.yaml",
        more_models=[clips_model(folder)],
        cluster={
            "gateways": 2,
            "database_url": "env:DIT_DATABASE",
            "results": {
                "url": s3.make_bucket("results"),
                "options": {"endpoint_url": s3.endpoint_url},
            },
        },
    )
    document = yaml.safe_load(config.read_text())
    del document["applications"][0]["args"]["models"][0]
    config.write_text(yaml.safe_dump(document))
    paths = os.pathsep.join(["tests/serve/raising", os.environ.get("PYTHONPATH", "")])
    variables = ENVIRONMENT | {"PYTHONPATH": paths, "DIT_DATABASE": postgres.new_database()}
    with serving(config, folder, **variables) as running:
        yield running


def asked(server: Server, method: str, path: str, **given: Any) -> httpx.Response:
    """An answer, however often a dying gateway drops the call."""
    give_up = time.monotonic() + 30
    while True:
        try:
            answer = httpx.request(method, f"{server.url}{path}", timeout=20, **given)
            if answer.status_code < 500:
                return answer
        except httpx.TransportError:
            pass
        assert time.monotonic() < give_up, path
        time.sleep(0.1)


def begun(server: Server, **fields: Any) -> str:
    answer = asked(server, "POST", "/v1/videos", json=fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def video_when(
    server: Server, video_id: str, condition: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    give_up = time.monotonic() + DONE_S
    while True:
        video: dict[str, Any] = asked(server, "GET", f"/v1/videos/{video_id}").json()
        if condition(video):
            return video
        assert time.monotonic() < give_up, video
        time.sleep(0.1)


def ended(video: dict[str, Any]) -> bool:
    return video["status"] in ("completed", "failed", "cancelled")


def under_way(video: dict[str, Any]) -> bool:
    assert not ended(video), video
    return bool(video["progress"] >= 10)


def kill(server: Server, deployment: str) -> None:
    """One replica of a deployment, at once."""
    os.kill(server.replica_pids(deployment)[0], signal.SIGKILL)


def clip(server: Server, video_id: str) -> bytes:
    return asked(server, "GET", f"/v1/videos/{video_id}/content").content


@pytest.fixture(scope="module")
def undisturbed(server: Server) -> bytes:
    """The clip of `LONG`, made without a fault."""
    video_id = begun(server, **LONG)
    assert video_when(server, video_id, ended)["status"] == "completed"
    return clip(server, video_id)


def test_a_video_is_done_though_its_gateway_router_and_replica_are_killed(
    server: Server, undisturbed: bytes
) -> None:
    video_id = begun(server, **LONG)
    video_when(server, video_id, under_way)
    for deployment in ("gateway", "router-clips", "pool-clips-cpu"):
        kill(server, deployment)
    video = video_when(server, video_id, ended)
    assert video["status"] == "completed", video
    assert clip(server, video_id) == undisturbed
    listed = asked(server, "GET", "/v1/videos", params={"limit": 100}).json()["data"]
    assert [each["id"] for each in listed].count(video_id) == 1


def test_a_video_is_done_though_the_database_is_away_for_a_while(
    server: Server, undisturbed: bytes, postgres: PostgresServer
) -> None:
    video_id = begun(server, **LONG)
    video_when(server, video_id, under_way)
    postgres.stop()
    away = httpx.get(f"{server.url}/v1/videos/{video_id}", timeout=30)
    assert (away.status_code, away.json()["error"]["code"]) == (503, "job_store_unavailable")
    time.sleep(6)
    postgres.start()
    assert video_when(server, video_id, ended)["status"] == "completed"
    assert clip(server, video_id) == undisturbed


def test_the_password_of_the_database_is_neither_in_the_log_nor_in_what_ray_keeps(
    server: Server,
) -> None:
    """After the database was away, so that its errors are in the log."""
    log = server.log.read_text(errors="replace")
    assert "the database postgresql://127.0.0.1" in log
    assert PASSWORD not in log
    read = [sys.executable, "-c", KEPT_BY_RAY, server.ray_address()]
    environment = os.environ | {"RAY_AUTH_MODE": "token"}
    kept = subprocess.run(read, capture_output=True, env=environment, timeout=60, check=True).stdout
    assert b"env:DIT_DATABASE" in kept
    assert PASSWORD.encode() not in kept


def test_out_of_memory_fails_that_video_alone(server: Server) -> None:
    video_id = begun(server, **LONG)
    video_when(server, video_id, under_way)
    (replica,) = server.replica_pids("pool-clips-cpu")
    os.kill(replica, signal.SIGUSR2)
    video = video_when(server, video_id, ended)
    assert (video["status"], video["error"]["code"]) == ("failed", "engine_failed")
    assert "memory" in video["error"]["message"].lower()
    assert video_when(server, begun(server, **SHORT), ended)["status"] == "completed"
    assert server.replica_pids("pool-clips-cpu") == [replica]


def test_a_video_that_kills_every_replica_fails_after_a_few_and_harms_no_other(
    server: Server,
) -> None:
    video_id = begun(server, **LONG)
    killed: set[int] = set()
    give_up = time.monotonic() + DONE_S
    while not ended(asked(server, "GET", f"/v1/videos/{video_id}").json()):
        assert time.monotonic() < give_up
        if busy(server):
            for pid in set(server.replica_pids("pool-clips-cpu")) - killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    video = asked(server, "GET", f"/v1/videos/{video_id}").json()
    assert (video["status"], video["error"]["code"]) == ("failed", "engine_failed")
    assert f"{ROUTER_DEATHS} replicas died" in video["error"]["message"]
    assert len(killed) == ROUTER_DEATHS
    assert video_when(server, begun(server, **SHORT), ended)["status"] == "completed"


def busy(server: Server) -> bool:
    (model,) = asked(server, "GET", "/v1/status").json()["models"] or [{"pools": [{"busy": 0}]}]
    return bool(model["pools"][0]["busy"])
