"""Streams of events: OpenAI's previews and pictures, our progress, and the end of a closed one."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import httpx
import openai
import pytest

from tests.serve.test_images import PROMPT, generate

pytestmark = pytest.mark.ray


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    found = []
    for block in answer.read().decode().strip().split("\n\n"):
        name, data = block.split("\n")
        body = json.loads(data.removeprefix("data: "))
        assert body.get("type", "error") == name.removeprefix("event: ")
        found.append(body)
    return found


def test_the_official_sdk_streams_previews_and_the_picture_that_a_plain_request_gives(
    sdk: openai.OpenAI, http: httpx.Client
) -> None:
    stream = sdk.images.generate(
        model="shapes",
        prompt=PROMPT,
        stream=True,
        partial_images=3,
        extra_body={"seed": 3, "tier": "none", "num_inference_steps": 60},
    )
    seen = list(stream)
    previews = [each for each in seen if each.type == "image_generation.partial_image"]
    (done,) = [each for each in seen if each.type == "image_generation.completed"]
    assert 1 <= len(previews) <= 3
    assert [each.partial_image_index for each in previews] == list(range(len(previews)))
    assert seen[-1] is done
    images, _ = generate(http, seed=3, tier="none", num_inference_steps=60)
    assert base64.b64decode(done.b64_json) == images[0]
    assert (done.model_extra or {})["receipt"]["seed"] == 3


def test_progress_rises_to_the_last_step(http: httpx.Client) -> None:
    body = {"prompt": PROMPT, "stream": True, "num_inference_steps": 80, "tier": "none"}
    with http.stream("POST", "/v1/images/generations", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        seen = events(answer)
    steps = [each["step"] for each in seen if each["type"].endswith(".progress")]
    assert steps == sorted(steps)
    assert steps[-1] > 40
    assert seen[-1]["type"] == "image_generation.completed"


def test_a_wrong_request_for_a_stream_is_a_plain_error(http: httpx.Client) -> None:
    for body, status in (
        ({"prompt": PROMPT, "stream": True, "tier": "best"}, 400),
        ({"prompt": PROMPT, "stream": True, "partial_images": 4}, 400),
        ({"prompt": PROMPT, "partial_images": 2}, 400),
        ({"prompt": PROMPT, "stream": True, "model": "nobody"}, 404),
    ):
        answer = http.post("/v1/images/generations", json=body)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/json"


def test_closing_a_stream_stops_the_work(http: httpx.Client) -> None:
    body = {"prompt": PROMPT, "stream": True, "num_inference_steps": 100, "n": 8, "tier": "none"}
    with http.stream("POST", "/v1/images/generations", json=body) as answer:
        assert next(answer.iter_lines()).startswith("event: ")
    give_up = time.monotonic() + 5
    while any(pool["busy"] for pool in pools(http)):
        assert time.monotonic() < give_up
        time.sleep(0.05)


def pools(http: httpx.Client) -> list[dict[str, Any]]:
    models = {each["model"]: each for each in http.get("/v1/status").json()["models"]}
    found: list[dict[str, Any]] = models["shapes"]["pools"]
    return found


def test_a_stream_may_tell_where_the_picture_is(http: httpx.Client) -> None:
    body = {"prompt": PROMPT, "stream": True, "response_format": "url", "n": 2}
    with http.stream("POST", "/v1/images/generations", json=body) as answer:
        found = [each for each in events(answer) if each["type"].endswith("completed")]
    assert len(found) == 2
    for each in found:
        assert httpx.get(each["url"]).headers["content-type"] == "image/png"
