"""What browsers are told with every answer, and which of their requests never arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from cluster.auth import AuthConfig
from cluster.config import ClusterConfig
from deployments.browser_wall import BrowserWall
from tests.unit.gateway.stand_in import Routers

GENERATIONS = "/v1/images/generations"

ANSWERS = [
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("GET", "/v1/videos/none"),
    ("GET", "/v1/images/none/content"),
    ("GET", "/nothing"),
    ("GET", "/studio/nothing"),
    ("POST", GENERATIONS),
    ("POST", "/v1/models"),
    ("OPTIONS", GENERATIONS),
    ("HEAD", "/"),
]


@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_every_answer_tells_a_browser_to_trust_nothing(
    client: TestClient, method: str, path: str
) -> None:
    headers = client.request(method, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_so_does_an_answer_to_a_fault_of_the_server(client: TestClient, routers: Routers) -> None:
    routers.failure = RuntimeError("of the server")
    answer = client.post(GENERATIONS, json={"prompt": "a red circle"})
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_what_a_caller_alone_may_see_is_stored_by_nobody_else(
    client: TestClient, asking: Any
) -> None:
    (made,) = asking(GENERATIONS, response_format="url")["data"]
    stored = client.get(made["url"])
    assert stored.status_code == 200
    assert stored.headers["cache-control"].startswith("private")
    assert "frame-ancestors 'none'" in stored.headers["content-security-policy"]
    for path in ("/v1/videos", "/v1/models", "/metrics", "/v1/videos/none"):
        assert client.get(path).headers["cache-control"] == "no-store"
    answer = client.post(GENERATIONS, json={"prompt": "a red circle"})
    assert answer.headers["cache-control"] == "no-store"


def test_a_clip_that_is_opened_in_a_browser_may_play(client: TestClient, asking: Any) -> None:
    (made,) = asking(GENERATIONS, response_format="url")["data"]
    assert "default-src" not in client.get(made["url"]).headers["content-security-policy"]


@pytest.mark.parametrize("path", [GENERATIONS, "/v1/videos", "/v1/models", "/"])
def test_no_other_origin_is_let_in(client: TestClient, path: str) -> None:
    origin = {"Origin": "https://evil.example"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}
    preflight = client.options(path, headers=origin | asked)
    assert preflight.status_code in (401, 403, 405)
    for answer in (preflight, client.get(path, headers=origin)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_fault_in_an_address_is_told_in_the_envelope(app: FastAPI) -> None:
    for path, query in ((b"/nothing", b"\xff"), (b"/v1/videos", b"after=\xff&limit=\xff")):
        status, body = raw_get(app, path, query)
        assert status in (400, 401, 404), body
        assert body.startswith(b'{"error":')


def raw_get(app: FastAPI, path: bytes, query: bytes) -> tuple[int, bytes]:
    """An answer to bytes that no client library sends."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path.decode(),
        "raw_path": path,
        "root_path": "",
        "query_string": query,
        "scheme": "http",
        "headers": [(b"host", b"\xff"), (b"range", b"\xff"), (b"if-none-match", b"\xff")],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


@pytest.fixture
def arrived() -> list[str]:
    """Methods of the requests that came through the wall."""
    return []


@pytest.fixture
def walled(config: ClusterConfig, arrived: list[str]) -> Iterator[TestClient]:
    async def here(request: Request) -> PlainTextResponse:
        arrived.append(request.method)
        return PlainTextResponse("here")

    app = Starlette(routes=[Route("/", here, methods=["GET", "POST", "DELETE"])])
    without_keys = config.model_copy(update={"auth": AuthConfig(keys="none")})
    with TestClient(BrowserWall(app, without_keys), base_url="http://localhost:8000") as client:
        yield client


def test_without_keys_a_form_on_another_page_never_arrives(
    walled: TestClient, arrived: list[str]
) -> None:
    for method in ("POST", "DELETE"):
        answer = walled.request(method, "/", headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "cross_origin"
        assert "https://evil.example" in answer.json()["error"]["message"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert arrived == []
    assert walled.post("/", headers={"Origin": "http://localhost:8000"}).status_code == 200
    assert walled.post("/").status_code == 200
    assert arrived == ["POST", "POST"]


def test_without_keys_a_name_that_was_moved_here_reads_nothing(
    walled: TestClient, arrived: list[str]
) -> None:
    answer = walled.get("/", headers={"Host": "evil.example:8000"})
    assert answer.status_code == 403
    assert "Host: 'evil.example:8000'" in answer.json()["error"]["message"]
    assert arrived == []
