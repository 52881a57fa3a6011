"""Several gateways as one server: two hundred mixed requests, polled at random, are all found."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.serve.conftest import GATEWAYS
from tests.serve.server import Server

pytestmark = pytest.mark.ray

REQUESTS = 200
CALLERS = 8
FEW_STEPS = {"num_inference_steps": 2, "tier": "none"}
DONE_S = 120.0


def test_two_hundred_mixed_requests_are_answered_and_every_job_is_found(server: Server) -> None:
    """A fresh connection each: Serve chooses the gateway for each request anew."""
    assert len(server.replica_pids("gateway")) == GATEWAYS
    kinds = random.Random(6).choices(("picture", "stored", "stream", "video"), k=REQUESTS)
    with ThreadPoolExecutor(CALLERS) as callers:
        found = list(callers.map(lambda each: one(server, *each), enumerate(kinds)))
    assert Counter(found) == Counter(kinds)


def test_without_keys_a_caller_for_whom_a_proxy_speaks_is_none_of_this_machine(
    server: Server,
) -> None:
    """The address reaches the gateway through Serve's proxy, which trusts proxies on loopback."""
    spoken_for = {"X-Forwarded-For": "192.0.2.7"}
    answer = httpx.get(f"{server.url}/v1/models", headers=spoken_for, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "loopback_only")
    assert httpx.get(f"{server.url}/v1/models", timeout=30).status_code == 200


def one(server: Server, number: int, kind: str) -> str:
    """One request, followed to its end; its kind again if all of it was right."""
    prompt = {"prompt": f"a red circle {number}", "seed": number}
    if kind == "video":
        return video(server, prompt | FEW_STEPS | {"model": "clips"})
    body = prompt | FEW_STEPS | {"size": "64x64"}
    if kind == "stored":
        body["response_format"] = "url"
    elif kind == "stream":
        body["stream"] = True
    answer = patient(server, "POST", "/v1/images/generations", json=body)
    if kind == "stored":
        url = answer.json()["data"][0]["url"]
        contents = {httpx.get(url, timeout=30).content for _ in range(3)}
        assert len(contents) == 1, url
    elif kind == "stream":
        assert answer.text.rstrip().splitlines()[-2] == "event: image_generation.completed"
    else:
        assert answer.json()["receipt"]["seed"] == number
    return kind


def video(server: Server, body: dict[str, Any]) -> str:
    made = patient(server, "POST", "/v1/videos", json=body).json()
    chance = random.Random(made["id"])
    give_up = time.monotonic() + DONE_S
    while True:
        now = patient(server, "GET", f"/v1/videos/{made['id']}").json()
        if now["status"] == "completed":
            break
        assert now["status"] in ("queued", "in_progress"), now
        assert time.monotonic() < give_up, now
        time.sleep(chance.uniform(0.05, 1.0))
    clip = patient(server, "GET", f"/v1/videos/{made['id']}/content")
    assert clip.content[4:8] == b"ftyp"
    return "video"


def patient(server: Server, method: str, path: str, **given: Any) -> httpx.Response:
    """The answer; a full line (429) is tried again, as the answer says."""
    give_up = time.monotonic() + DONE_S
    while True:
        answer = httpx.request(method, f"{server.url}{path}", timeout=60, **given)
        if answer.status_code != 429:
            assert answer.status_code == 200, answer.text
            return answer
        assert time.monotonic() < give_up
        time.sleep(0.3)
