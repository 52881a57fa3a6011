"""Small requests of every kind that a server takes or refuses, each with what must come of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

IMAGES, EDITS, VIDEOS = "/v1/images/generations", "/v1/images/edits", "/v1/videos"
PROMPT = "a red circle left of a blue square on a white background"
SMALL = {"prompt": PROMPT, "num_inference_steps": 4, "seed": 1}
LOOK_S = 0.3
VIDEO_S = 120.0


class Wrong(Exception):
    """The server answered otherwise than it must."""


@dataclass
class Caller:
    """A client with a key, the other keys by name, and what it has seen.

    `first` are the digests of the first pictures by kind: later ones must be the same.
    """

    client: httpx.AsyncClient
    keys: Mapping[str, str]
    requests: Counter[int] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, method: str, url: str, wanted: int, key: str = "generate", **more: Any
    ) -> httpx.Response:
        """Raises Wrong unless the answer has the wanted status."""
        headers = {"Authorization": f"Bearer {self.keys[key]}"} | more.pop("headers", {})
        answer = await self.client.request(method, url, headers=headers, **more)
        self.requests[answer.status_code] += 1
        if answer.status_code != wanted:
            raise Wrong(
                f"{method} {url}: {answer.status_code} and not {wanted}: {answer.text:.300}"
            )
        return answer

    def same(self, kind: str, picture: bytes | str) -> None:
        """Raises Wrong where a picture of that kind is not what the first one was."""
        content = picture.encode() if isinstance(picture, str) else picture
        digest = hashlib.sha256(content).hexdigest()
        if self.first.setdefault(kind, digest) != digest:
            raise Wrong(f"{kind}: the same request with the same seed gave another picture")


Kind = Callable[[Caller], Awaitable[None]]


def picture(tier: str) -> Kind:
    async def kind(caller: Caller) -> None:
        answer = await caller.ask("POST", IMAGES, 200, json=SMALL | {"tier": tier})
        served = answer.json()["receipt"]["tier_served"]
        caller.same(f"picture {served}", answer.json()["data"][0]["b64_json"])

    return kind


async def several_as_jpeg(caller: Caller) -> None:
    fields = SMALL | {"tier": "ultra", "n": 2, "output_format": "jpeg", "user": "somebody"}
    answer = await caller.ask("POST", IMAGES, 200, json=fields)
    caller.same("several", "".join(each["b64_json"] for each in answer.json()["data"]))


async def within_a_deadline(caller: Caller) -> None:
    await caller.ask("POST", IMAGES, 200, json=SMALL | {"deadline_ms": 60_000})


async def stream(caller: Caller) -> None:
    fields = SMALL | {"tier": "none", "stream": True, "partial_images": 2}
    answer = await caller.ask("POST", IMAGES, 200, json=fields)
    if "image_generation.completed" not in answer.text:
        raise Wrong(f"a stream without its end: {answer.text[-300:]}")


async def stored(caller: Caller) -> None:
    fields = SMALL | {"tier": "fast", "response_format": "url"}
    answer = await caller.ask("POST", IMAGES, 200, json=fields)
    content = await caller.ask("GET", answer.json()["data"][0]["url"], 200)
    caller.same("stored", content.content)


async def edit(caller: Caller) -> None:
    if "edit of" not in caller.first:
        made = await caller.ask("POST", IMAGES, 200, json=SMALL | {"tier": "ultra"})
        caller.first["edit of"] = made.json()["data"][0]["b64_json"]
    file = base64.b64decode(caller.first["edit of"])
    form = {"prompt": PROMPT, "seed": "1", "num_inference_steps": "4", "tier": "none"}
    answer = await caller.ask("POST", EDITS, 200, data=form, files={"image": ("a.png", file)})
    caller.same("edit", answer.json()["data"][0]["b64_json"])


async def hang_up(caller: Caller) -> None:
    """Goes away while the picture is made."""
    fields = SMALL | {"tier": "none", "num_inference_steps": 20}
    asked = asyncio.create_task(caller.ask("POST", IMAGES, 200, json=fields))
    await asyncio.sleep(0.05)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)


async def video(caller: Caller) -> None:
    """Made, looked at until it is done, fetched, listed, deleted."""
    fields = {"model": "clips", "prompt": PROMPT, "num_inference_steps": 2, "seed": 1}
    job = (await caller.ask("POST", VIDEOS, 200, json=fields | {"tier": "ultra"})).json()
    path = f"{VIDEOS}/{job['id']}"
    async with asyncio.timeout(VIDEO_S):
        while job["status"] in ("queued", "in_progress"):
            await asyncio.sleep(LOOK_S)
            job = (await caller.ask("GET", path, 200)).json()
    if job["status"] != "completed":
        raise Wrong(f"a video ended as {job['status']}: {job.get('error')}")
    caller.same("video", (await caller.ask("GET", f"{path}/content", 200)).content)
    await caller.ask("GET", VIDEOS, 200, params={"limit": 5})
    await caller.ask("DELETE", path, 200)
    await caller.ask("GET", path, 404)


async def video_given_up(caller: Caller) -> None:
    fields = {"model": "clips", "prompt": PROMPT, "num_inference_steps": 50, "tier": "none"}
    job = (await caller.ask("POST", VIDEOS, 200, json=fields)).json()
    await caller.ask("POST", f"{VIDEOS}/{job['id']}/cancel", 200)
    await caller.ask("DELETE", f"{VIDEOS}/{job['id']}", 200)


async def out_of_reach(caller: Caller) -> None:
    await caller.ask("POST", IMAGES, 429, json=SMALL | {"tier": "none", "deadline_ms": 1})


async def wrong_values(caller: Caller) -> None:
    for fields in ({"tier": "best"}, {"size": "7x7"}, {"n": 99}, {"wdith": 64}, {"prompt": ""}):
        await caller.ask("POST", IMAGES, 400, json=SMALL | fields)
    await caller.ask("POST", IMAGES, 404, json=SMALL | {"model": "no-such-model"})
    await caller.ask("GET", f"{VIDEOS}/video_unknown", 404)
    await caller.ask("GET", "/v1/nothing", 404)


async def bad_bodies(caller: Caller) -> None:
    as_json = {"Content-Type": "application/json"}
    for body in (b"{", b"\xff\xfe", b"[1]", b"null", b""):
        await caller.ask("POST", IMAGES, 400, content=body, headers=as_json)
    large = json.dumps(SMALL | {"user": "x" * 1_100_000}).encode()
    await caller.ask("POST", IMAGES, 413, content=large, headers=as_json)
    files = {"image": ("a.png", b"\x89PNG\r\n\x1a\nno picture")}
    await caller.ask("POST", EDITS, 400, data={"prompt": PROMPT}, files=files)


async def wrong_keys(caller: Caller) -> None:
    await caller.ask("POST", IMAGES, 401, key="unknown", json=SMALL)
    await caller.ask("POST", IMAGES, 403, key="metrics", json=SMALL)
    await caller.ask("GET", "/metrics", 403)


async def looks(caller: Caller) -> None:
    await caller.ask("GET", "/metrics", 200, key="metrics")
    for path in ("/v1/models", "/v1/tiers", "/ready", "/health", "/openapi.json", "/"):
        await caller.ask("GET", path, 200)


KINDS: Mapping[str, tuple[Kind, int]] = {
    **{
        f"picture, {tier}": (picture(tier), 2)
        for tier in ("none", "slow", "medium", "fast", "ultra", "auto")
    },
    "two pictures as JPEG": (several_as_jpeg, 1),
    "picture within a deadline": (within_a_deadline, 2),
    "stream with previews": (stream, 2),
    "stored picture, fetched": (stored, 2),
    "edit": (edit, 2),
    "caller goes away": (hang_up, 1),
    "video to its end": (video, 1),
    "video given up": (video_given_up, 1),
    "deadline out of reach": (out_of_reach, 2),
    "wrong values": (wrong_values, 1),
    "bad bodies": (bad_bodies, 1),
    "wrong keys": (wrong_keys, 1),
    "metrics and pages": (looks, 1),
}
"""What is asked for by its name, and how often in a round."""
