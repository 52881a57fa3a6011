"""Requests as bytes that no library would send, straight to the application."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from hypothesis import strategies as st

from tests.fuzz.gateway_app import Target
from tests.fuzz.trials import Tried, tried

ROUTES = (
    ("POST", "/v1/images/generations"),
    ("POST", "/v1/images/edits"),
    ("GET", "/v1/images/{image}/content"),
    ("HEAD", "/v1/images/{image}/content"),
    ("POST", "/v1/videos"),
    ("GET", "/v1/videos"),
    ("GET", "/v1/videos/{video}"),
    ("DELETE", "/v1/videos/{video}"),
    ("GET", "/v1/videos/{video}/content"),
    ("POST", "/v1/videos/{video}/cancel"),
    ("GET", "/v1/models"),
    ("GET", "/studio/app.js"),
    ("GET", "/docs"),
    ("GET", "/"),
)

HEADERS = (
    b"host",
    b"origin",
    b"authorization",
    b"content-type",
    b"content-length",
    b"idempotency-key",
    b"range",
    b"if-range",
    b"if-none-match",
    b"traceparent",
    b"x-forwarded-host",
    b"cookie",
)

TYPES = (
    b"application/json",
    b"application/json; charset=utf-16",
    b"multipart/form-data; boundary=x",
    b"multipart/form-data; boundary=" + b"x" * 300,
    b"multipart/form-data",
    b"text/plain",
    b"\xff/\xff",
)

_PART = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=10,
)
_fields = st.sampled_from(["prompt", "model", "n", "size", "seed", "user", "image", "mask", "tier"])
_objects = st.dictionaries(_fields, _json | st.just("a red circle"), max_size=6)
_bodies = st.one_of(
    st.binary(max_size=300),
    _objects.map(lambda fields: json.dumps(fields).encode()),
    st.lists(
        st.tuples(
            st.sampled_from([b"prompt", b"image", b"image[]", b"mask", b"\xff", b""]),
            st.sampled_from(
                [b"", b'; filename="../../etc/passwd"', b"; filename*=UTF-8''%ff", b";"]
            ),
            st.binary(max_size=60),
        ).map(lambda part: _PART % part),
        max_size=6,
    ).map(lambda parts: b"".join(parts) + b"--x--\r\n"),
)
_headers = st.tuples(
    st.lists(st.tuples(st.sampled_from(HEADERS), st.binary(max_size=60)), max_size=3),
    st.lists(st.tuples(st.just(b"content-type"), st.sampled_from(TYPES)), max_size=1),
).map(lambda two: two[0] + two[1])

_methods = st.sampled_from(["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "TRACE", "x"])
_routes = st.one_of(
    st.sampled_from(ROUTES),
    st.sampled_from(ROUTES[:2]),
    st.tuples(_methods, st.text(max_size=40).map(lambda text: f"/{text}")),
)
_requests = st.fixed_dictionaries(
    {
        "route": _routes,
        "query_string": st.binary(max_size=40) | st.just(b"after=\xff&limit=1"),
        "headers": _headers,
        "body": st.lists(_bodies, max_size=3),
    }
)


def try_bytes(target: Target, most: int, seed: int) -> Tried:
    """Every answer is one in OpenAI's envelope or a success, and none is a fault of the server."""

    def outcome(request: dict[str, Any]) -> str:
        target.routers.refusal = None
        method, route = request["route"]
        path = route.replace("{image}", target.image_id).replace("{video}", target.video_ids[0])
        answer = _answered(target.app, method, path, request)
        if method == "DELETE" and answer.status == 200:
            target.replenish()
        return str(answer.status)

    return tried("requests in bytes, at every route", _requests, outcome, most, seed)


def try_without_key(app: FastAPI, most: int, seed: int) -> Tried:
    """The same, where keys are asked for and there is none: only what holds no data succeeds."""

    def outcome(request: dict[str, Any]) -> str:
        method, route = request["route"]
        path = route.replace("{image}", "img_" + "0" * 24 + "_0").replace("{video}", "video_0")
        answer = _answered(app, method, path, request)
        succeeds = answer.status < 400
        assert not succeeds or not route.startswith(("/v1", "/metrics")), (request, answer)
        return str(answer.status)

    return tried("requests in bytes, without a key", _requests, outcome, most, seed)


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes


def _answered(app: FastAPI, method: str, path: str, request: dict[str, Any]) -> _Answer:
    answer = asyncio.run(_answer(app, method, path, request))
    assert answer.status < 500, answer
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    if answer.status >= 400 and method != "HEAD":
        assert json.loads(answer.body)["error"]["message"]
    return answer


async def _answer(app: FastAPI, method: str, path: str, request: dict[str, Any]) -> _Answer:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": "",
        "query_string": request["query_string"],
        "headers": request["headers"],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    pieces = iter([*request["body"], b""])
    sent: list[Any] = []

    async def receive() -> Any:
        piece = next(pieces, None)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": piece != b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return _Answer(sent[0]["status"], dict(sent[0]["headers"]), body)
