"""A stand-in for a gateway that does what a script says, so that the page's own logic is seen fast.

It serves the real page from the real routes of `deployments.studio_files`; all else is in the
`Script`, of which each test has its own. `tests/serve/test_studio.py` has the real server.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.datastructures import UploadFile

from deployments.openai_api import envelope
from deployments.studio_files import studio_router
from tests.studio import fake_work
from tests.studio.fake_videos import FakeVideos, video_routes

FIELDS = {
    *("prompt", "model", "n", "size", "stream", "partial_images", "tier", "deadline_ms", "seed"),
    *("num_inference_steps", "guidance_scale", "true_cfg_scale", "negative_prompt", "strength"),
}


@dataclass
class Script:
    """What the server does, and what it has seen."""

    models: list[dict[str, Any]]
    measured: bool = True
    step_s: float = 0.0
    holds_at: int | None = None
    """The step after which a picture waits until this is another; at 0 it stays in the queue."""
    key: str | None = None
    refusals: list[tuple[int, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    refuses_tier: str | None = None
    """The tier that refusals are for; None for any."""
    fails_at_step: int | None = None
    breaks_at_step: int | None = None
    receipt: dict[str, Any] = field(default_factory=dict)
    status: list[dict[str, Any]] = field(default_factory=list)
    videos: FakeVideos = field(default_factory=FakeVideos)
    requests: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    steps_made: int = 0
    left_early: int = 0
    status_asked: int = 0


class KeyRefused(Exception):
    """The request has no key, or a wrong one."""


def error(message: str, code: str | None, param: str | None = None, **more: Any) -> dict[str, Any]:
    body = envelope(message, "invalid_request_error", param, code)
    body["error"] |= more
    return body


@dataclass
class Fake:
    """The stand-in server: the script that it follows now, and its address."""

    script: Script
    url: str = ""


def fake_server(fake: Fake) -> FastAPI:
    """The application."""

    def ask_for_key(request: Request) -> None:
        given = request.headers.get("authorization")
        key = fake.script.key
        if key and request.url.path.startswith("/v1/") and given != f"Bearer {key}":
            raise KeyRefused("no API key was sent" if given is None else "this key is not known")

    app = FastAPI(openapi_url=None, dependencies=[Depends(ask_for_key)])
    app.include_router(studio_router())
    app.include_router(video_routes(lambda: fake.script.videos))

    @app.exception_handler(KeyRefused)
    async def refuse(request: Request, refused: KeyRefused) -> Response:
        return JSONResponse(error(str(refused), "invalid_api_key"), 401)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": fake.script.models}

    @app.get("/v1/tiers")
    async def tiers() -> dict[str, Any]:
        return fake_work.tiers(fake.script.models, measured=fake.script.measured)

    @app.get("/v1/status")
    async def status() -> dict[str, Any]:
        fake.script.status_asked += 1
        return {"models": fake.script.status}

    @app.post("/v1/images/generations")
    async def generations(request: Request) -> Response:
        return answer(await request.json(), "image_generation")

    @app.post("/v1/images/edits")
    async def edits(request: Request) -> Response:
        fields: dict[str, Any] = {}
        async with request.form() as form:
            for name, value in form.items():
                if isinstance(value, UploadFile):
                    fake.script.files[name] = await value.read()
                else:
                    fields[name] = value
        return answer(fields, "image_edit")

    def answer(fields: dict[str, Any], kind: str) -> Response:
        script = fake.script
        script.requests.append(fields)
        if unknown := set(fields) - FIELDS:
            return JSONResponse(error(f"{unknown}: no such field", "invalid_value"), 400)
        if script.refusals and script.refuses_tier in (None, fields.get("tier")):
            status, body, headers = script.refusals.pop(0)
            return JSONResponse(body, status, headers)
        body = watched(events(fields, kind, script), script)
        return StreamingResponse(body, media_type="text/event-stream")

    async def watched(sent: AsyncIterator[bytes], script: Script) -> AsyncIterator[bytes]:
        try:
            async for each in sent:
                yield each
        except asyncio.CancelledError:
            script.left_early += 1
            raise

    async def events(fields: dict[str, Any], kind: str, script: Script) -> AsyncIterator[bytes]:
        n, size = int(fields.get("n", 1)), fields["size"]
        seed, tier = int(fields.get("seed", 4711)), fields.get("tier", "medium")
        steps = int(fields.get("num_inference_steps", 28))
        previews = int(fields.get("partial_images", 0))
        yield sent(kind, "progress", state="queued", step=0, steps=steps)
        await held(script, 0)
        for step in range(1, steps + 1):
            await asyncio.sleep(script.step_s)
            script.steps_made = step
            if step == script.fails_at_step:
                body = error("out of memory in <img src=x onerror=alert(1)>", "engine_failed")
                yield event("error", body)
                return
            if step == script.breaks_at_step:
                raise ConnectionAbortedError
            yield sent(kind, "progress", state="running", step=step, steps=steps)
            if previews and step % (steps // (previews + 1)) == 0 and step < steps:
                drawn = fake_work.picture(fields["prompt"], seed, tier, size, step / steps)
                yield sent(kind, "partial_image", **pictured(drawn), partial_image_index=0)
            await held(script, step)
        name = f"img_{seed:024x}"
        receipt = fake_work.receipt(fields, seed, name, **script.receipt)
        for place in range(n):
            drawn = fake_work.picture(fields["prompt"], seed + place, tier, size)
            yield sent(kind, "completed", **pictured(drawn), size=size, receipt=receipt)

    return app


async def held(script: Script, step: int) -> None:
    while script.holds_at == step:
        await asyncio.sleep(0.01)


def pictured(file: bytes) -> dict[str, Any]:
    return {"b64_json": base64.b64encode(file).decode(), "output_format": "png"}


def sent(kind: str, name: str, **body: Any) -> bytes:
    return event(f"{kind}.{name}", {"type": f"{kind}.{name}", **body})


def event(name: str, body: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(body)}\n\n".encode()
