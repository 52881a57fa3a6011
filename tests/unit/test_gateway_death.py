"""A real uvicorn in front of an application that ends its calls early, as Serve's proxy does."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from deployments.gateway_death import EndsWithAnError

EVENT = b"event: image_generation.progress\ndata: {}\n\n"


def start(kind: bytes, *more: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", kind), *more],
    }


def body(text: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": more}


SENT = {
    "/nothing": [],
    "/stream": [start(b"text/event-stream; charset=utf-8"), body(EVENT, True)],
    "/whole": [start(b"text/event-stream; charset=utf-8"), body(EVENT, False)],
    "/file": [start(b"image/png", (b"content-length", b"100")), body(b"half", True)],
    "/text": [start(b"text/plain", (b"content-length", b"2")), body(b"ok", False)],
}


async def ends_early(scope: Scope, receive: Receive, send: Send) -> None:
    for message in SENT[scope["path"]]:
        await send(message)


@contextmanager
def served() -> Iterator[str]:
    config = uvicorn.Config(
        EndsWithAnError(ends_early), port=0, lifespan="off", log_config=None, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        give_up = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


def test_a_call_without_an_answer_and_a_stream_without_an_end_get_an_error() -> None:
    with served() as url:
        lost = httpx.get(f"{url}/nothing")
        assert (lost.status_code, lost.json()["error"]["code"]) == (503, "gateway_died")
        stream = httpx.get(f"{url}/stream").content
        assert stream.startswith(EVENT)
        name, data = stream.removeprefix(EVENT).decode().strip().split("\n")
        assert name == "event: error"
        assert json.loads(data.removeprefix("data: "))["error"] == lost.json()["error"]


def test_whole_answers_stay_as_they_are_and_half_a_file_is_no_file() -> None:
    with served() as url:
        assert httpx.get(f"{url}/whole").content == EVENT
        assert httpx.get(f"{url}/text").text == "ok"
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{url}/file")
