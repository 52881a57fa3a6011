"""The stand-in's videos: jobs that advance by a clock of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from deployments.openai_api import envelope
from tests.studio import fake_work

FIELDS = {
    *("prompt", "model", "seconds", "fps", "size", "tier", "deadline_ms", "seed"),
    *("num_inference_steps", "guidance_scale", "true_cfg_scale", "negative_prompt"),
}


@dataclass
class FakeVideos:
    """The videos by id, oldest first; one takes `takes_s` seconds."""

    takes_s: float = 0.6
    videos: dict[str, dict[str, Any]] = field(default_factory=dict)
    lists_asked: int = 0
    idempotency_keys: list[str | None] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    reference: bytes | None = None

    def add(self, fields: dict[str, Any], **known: Any) -> dict[str, Any]:
        name = f"video_{len(self.videos):024x}"
        video = {
            "id": name,
            "object": "video",
            "model": fields["model"],
            "prompt": fields["prompt"],
            "status": "queued",
            "progress": 0,
            "created_at": int(time.time()),
            "completed_at": None,
            "expires_at": None,
            "seconds": fields.get("seconds", "2"),
            "size": fields["size"],
            "error": None,
            "remixed_from_video_id": None,
            "receipt": None,
            "began": time.monotonic(),
            "fields": fields,
        }
        self.videos[name] = video | known
        return self.videos[name]

    def advance(self) -> None:
        for video in self.videos.values():
            share = (time.monotonic() - video["began"]) / self.takes_s
            if video["status"] in ("queued", "in_progress"):
                video["status"] = "in_progress" if share > 0.2 else "queued"
                video["progress"] = min(99, int(share * 100)) if share > 0.2 else 0
                if share >= 1:
                    video |= {"status": "completed", "progress": 100}
                    video["receipt"] = fake_work.receipt(video["fields"], 7, video["id"])


def video_routes(now: Callable[[], FakeVideos]) -> APIRouter:
    """The routes of the videos that `now` gives."""
    routes = APIRouter(prefix="/v1/videos")

    @routes.post("")
    async def create(request: Request) -> Response:
        fake = now()
        fake.idempotency_keys.append(request.headers.get("idempotency-key"))
        if request.headers["content-type"].startswith("application/json"):
            fields = await request.json()
        else:
            async with request.form() as form:
                fields = dict(form)
                fake.reference = await fields.pop("input_reference").read()
        fake.requests.append(fields)
        if unknown := set(fields) - FIELDS:
            body = envelope(f"{unknown}: no such field", "invalid_request_error")
            return JSONResponse(body, 400)
        return JSONResponse(told(fake.add(fields)))

    @routes.get("")
    async def page(limit: int = 20, after: str | None = None) -> dict[str, Any]:
        fake = now()
        fake.lists_asked += 1
        fake.advance()
        names = [*reversed(fake.videos)]
        begin = names.index(after) + 1 if after else 0
        shown = names[begin : begin + limit]
        return {
            "object": "list",
            "data": [told(fake.videos[name]) for name in shown],
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
            "has_more": begin + limit < len(names),
        }

    @routes.get("/{name}/content")
    async def content(name: str) -> Response:
        video = now().videos[name]
        return Response(fake_work.clip(video["prompt"], video["size"]), media_type="video/mp4")

    @routes.post("/{name}/cancel")
    async def cancel(name: str) -> dict[str, Any]:
        now().videos[name]["status"] = "cancelled"
        return told(now().videos[name])

    @routes.delete("/{name}")
    async def delete(name: str) -> dict[str, Any]:
        del now().videos[name]
        return {"id": name, "object": "video.deleted", "deleted": True}

    return routes


def told(video: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in video.items() if key not in ("began", "fields")}
