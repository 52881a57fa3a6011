"""Pictures as server-sent events, from the route down to the call to the router."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from cluster.errors import EngineFailed
from tests.unit.gateway.documented import Document
from tests.unit.gateway.stand_in import Routers, picture

GENERATIONS = "/v1/images/generations"
STREAM = {"prompt": "a red circle", "stream": True}
SOON_S = 10.0
SHAPES = {
    "progress": "ImageProgress",
    "partial_image": "PartialImage",
    "completed": "CompletedImage",
    "error": "ErrorEnvelope",
}


@pytest.fixture
def events_of(document: Document) -> Callable[[Any], list[tuple[str, Any]]]:
    """The events of an answer by name, each of which the document must tell of."""

    def read(answer: Any) -> list[tuple[str, Any]]:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        found = []
        for event in answer.text.removesuffix("\n\n").split("\n\n"):
            name, data = event.split("\n")
            value = json.loads(data.removeprefix("data: "))
            name = name.removeprefix("event: ")
            document.matches(SHAPES[name.rpartition(".")[2]], value)
            found.append((name, value))
        return found

    return read


def test_progress_previews_and_the_picture_come_in_this_order(
    client: TestClient, routers: Routers, events_of: Any
) -> None:
    routers.previews = (picture(colour="blue"), picture(colour="green"))
    events = events_of(client.post(GENERATIONS, json=STREAM | {"partial_images": 2}))
    names = [name.removeprefix("image_generation.") for name, _ in events]
    assert names == ["progress", "progress", "partial_image", "partial_image", "completed"]
    told = [data for _, data in events]
    assert [(data["state"], data["step"], data["steps"]) for data in told[:2]] == [
        ("queued", 0, 8),
        ("running", 1, 8),
    ]
    assert [data["partial_image_index"] for data in told[2:4]] == [0, 1]
    assert base64.b64decode(told[2]["b64_json"]) == routers.previews[0]
    assert base64.b64decode(told[4]["b64_json"]) == picture()


def test_without_partial_images_there_are_none(
    client: TestClient, routers: Routers, events_of: Any
) -> None:
    routers.previews = (picture(),)
    names = [name for name, _ in events_of(client.post(GENERATIONS, json=STREAM))]
    assert "image_generation.partial_image" not in names


def test_each_of_several_pictures_has_its_own_end(client: TestClient, events_of: Any) -> None:
    events = events_of(client.post(GENERATIONS, json=STREAM | {"n": 3}))
    assert [name for name, _ in events].count("image_generation.completed") == 3


def test_a_stream_of_an_edit_has_names_of_its_own(client: TestClient, events_of: Any) -> None:
    form = {"prompt": "a red circle", "stream": "true"}
    answer = client.post("/v1/images/edits", data=form, files={"image": picture()})
    assert {name.partition(".")[0] for name, _ in events_of(answer)} == {"image_edit"}


def test_a_stream_may_end_with_where_the_picture_is(client: TestClient, events_of: Any) -> None:
    events = events_of(client.post(GENERATIONS, json=STREAM | {"response_format": "url"}))
    _, completed = events[-1]
    assert client.get(completed["url"]).content == picture()


def test_what_fails_after_it_was_admitted_is_the_last_event(
    client: TestClient, routers: Routers, events_of: Any
) -> None:
    routers.failure = EngineFailed("out of memory")
    events = events_of(client.post(GENERATIONS, json=STREAM))
    name, data = events[-1]
    assert (name, data["error"]["message"]) == ("error", "out of memory")


class Caller:
    """A caller of the application that can leave while it is answered."""

    def __init__(self, app: FastAPI, body: dict[str, Any]) -> None:
        self._left = asyncio.Event()
        self._body: bytes | None = json.dumps(body).encode()
        self.sent: list[Any] = []
        self.heard = asyncio.Event()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": GENERATIONS,
            "query_string": b"",
            "headers": [(b"host", b"here"), (b"content-type", b"application/json")],
        }
        self.answer = asyncio.ensure_future(app(scope, self._receive, self._send))

    def leave(self) -> None:
        self._left.set()

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)
        if b"running" in message.get("body", b""):
            self.heard.set()


@pytest.mark.parametrize("how", ["disconnected", "cancelled by Serve"])
def test_a_caller_that_leaves_a_stream_stops_the_work(
    app: FastAPI, routers: Routers, how: str
) -> None:
    async def leave_early() -> None:
        routers.open.clear()
        caller = Caller(app, STREAM)
        async with asyncio.timeout(SOON_S):
            await caller.heard.wait()
            if how == "disconnected":
                caller.leave()
            else:
                caller.answer.cancel()
            await asyncio.wait((caller.answer,))
        assert routers.left == 1

    asyncio.run(leave_early())


def test_a_caller_that_is_cancelled_without_a_stream_stops_the_work(
    app: FastAPI, routers: Routers
) -> None:
    async def leave_early() -> None:
        routers.open.clear()
        caller = Caller(app, STREAM | {"stream": False})
        async with asyncio.timeout(SOON_S):
            while not routers.jobs:
                await asyncio.sleep(0.01)
            caller.answer.cancel()
            await asyncio.wait((caller.answer,))
        assert (routers.left, caller.sent) == (1, [])

    asyncio.run(leave_early())
