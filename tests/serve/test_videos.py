"""Videos through the official SDK and plain HTTP: durable jobs behind several gateways."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import av
import httpx
import openai
import pytest
from openai.types import Video
from PIL import Image

from tests.serve.server import Server

pytestmark = [
    pytest.mark.ray,
    # The SDK says of its videos that the service they were made for is shut down.
    pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning"),
]

PROMPT = "a red circle moves to the right"
DONE_S = 60.0


def ended(sdk: openai.OpenAI, video_id: str, until: Callable[[Video], bool] | None = None) -> Video:
    """The video once it has ended, or once it is as asked."""
    give_up = time.monotonic() + DONE_S
    while True:
        video = sdk.videos.retrieve(video_id)
        if (until or has_ended)(video):
            return video
        assert time.monotonic() < give_up, video
        time.sleep(0.1)


def has_ended(video: Video) -> bool:
    return str(video.status) in ("completed", "failed", "cancelled")


def facts(video: Video) -> dict[str, Any]:
    return video.model_extra or {}


def frames(clip: bytes) -> list[Image.Image]:
    with av.open(io.BytesIO(clip)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def test_the_official_sdk_makes_watches_downloads_and_deletes_a_video(sdk: openai.OpenAI) -> None:
    made = sdk.videos.create(
        model="clips",
        prompt=PROMPT,
        seconds="2",  # type: ignore[arg-type]
        size="64x96",  # type: ignore[arg-type]
        extra_body={"seed": 5, "tier": "fast", "num_inference_steps": 20},
    )
    assert (made.object, made.status, made.prompt) == ("video", "queued", PROMPT)
    video = ended(sdk, made.id)
    assert (video.status, video.progress, video.size, video.seconds) == (
        "completed",
        100,
        "64x96",
        "2",
    )
    receipt = facts(video)["receipt"]
    assert (receipt["request_id"], receipt["tier_served"], receipt["seed"]) == (made.id, "fast", 5)
    assert receipt["steps_computed"] + receipt["steps_cached"] == 20
    clip = sdk.videos.download_content(made.id)
    assert clip.response.headers["content-type"] == "video/mp4"
    shown = frames(clip.read())
    assert [picture.size for picture in shown] == [(64, 96)] * 9
    assert sdk.videos.delete(made.id).deleted is True
    with pytest.raises(openai.NotFoundError):
        sdk.videos.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        sdk.videos.download_content(made.id)


def test_videos_are_listed_in_pages_in_either_order(sdk: openai.OpenAI) -> None:
    made = [sdk.videos.create(model="clips", prompt=f"{PROMPT} {n}").id for n in range(5)]
    newest = [video.id for video in sdk.videos.list(limit=2)]
    assert newest[:5] == made[::-1]
    oldest_first = [video.id for video in sdk.videos.list(limit=3, order="asc")]
    assert [video for video in oldest_first if video in made] == made
    after = sdk.videos.list(limit=2, after=made[3])
    assert [video.id for video in after.data] == [made[2], made[1]]
    for video in made:
        ended(sdk, video)
        sdk.videos.delete(video)


def test_the_same_idempotency_key_gives_the_same_video_and_another_request_is_refused(
    http: httpx.Client,
) -> None:
    body = {"model": "clips", "prompt": PROMPT, "num_inference_steps": 4}
    key = {"Idempotency-Key": "order-7"}
    first = http.post("/v1/videos", json=body, headers=key).json()
    assert http.post("/v1/videos", json=body, headers=key).json()["id"] == first["id"]
    other = http.post("/v1/videos", json=body | {"seed": 1}, headers=key)
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    http.delete(f"/v1/videos/{first['id']}")


def test_a_cancelled_video_stops_and_stays_to_be_seen(
    http: httpx.Client, sdk: openai.OpenAI
) -> None:
    body = {"model": "clips", "prompt": PROMPT, "num_inference_steps": 2000, "tier": "none"}
    video = http.post("/v1/videos", json=body).json()
    ended(sdk, video["id"], lambda now: now.progress > 0)
    busy_until(http, 1)
    assert http.get(f"/v1/videos/{video['id']}/content").status_code == 409
    cancelled = http.post(f"/v1/videos/{video['id']}/cancel").json()
    assert cancelled["status"] == "cancelled"
    busy_until(http, 0)
    assert http.get(f"/v1/videos/{video['id']}").json()["status"] == "cancelled"
    assert http.delete(f"/v1/videos/{video['id']}").json()["deleted"] is True


def test_deleting_a_video_stops_the_work_on_it(http: httpx.Client, sdk: openai.OpenAI) -> None:
    body = {"model": "clips", "prompt": PROMPT, "num_inference_steps": 2000, "tier": "none"}
    video = http.post("/v1/videos", json=body).json()
    ended(sdk, video["id"], lambda now: now.progress > 0)
    assert http.delete(f"/v1/videos/{video['id']}").status_code == 200
    busy_until(http, 0)
    assert http.get(f"/v1/videos/{video['id']}").status_code == 404


def test_what_makes_pictures_makes_no_videos_and_the_other_way_round(http: httpx.Client) -> None:
    wrong = http.post("/v1/videos", json={"model": "shapes", "prompt": PROMPT})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "model")
    wrong = http.post("/v1/images/generations", json={"model": "clips", "prompt": PROMPT})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "model")


def test_a_video_whose_deadline_is_out_of_reach_fails_and_says_so(
    http: httpx.Client, sdk: openai.OpenAI
) -> None:
    for _ in range(2):
        body = {"model": "clips", "prompt": PROMPT, "num_inference_steps": 100, "tier": "none"}
        made = http.post("/v1/videos", json=body).json()
        ended(sdk, made["id"])
    video = http.post("/v1/videos", json=body | {"deadline_ms": 5}).json()
    now = ended(sdk, video["id"])
    assert str(now.status) == "failed"
    assert now.error is not None
    assert now.error.code in ("deadline_out_of_reach", "deadline_passed")
    assert "deadline" in now.error.message


def busy_until(http: httpx.Client, busy: int) -> None:
    """Waits until so many replicas of the model are at work."""
    give_up = time.monotonic() + 10.0
    while True:
        models = {each["model"]: each for each in http.get("/v1/status").json()["models"]}
        if models["clips"]["pools"][0]["busy"] == busy:
            return
        assert time.monotonic() < give_up, models
        time.sleep(0.1)


def test_every_gateway_answers_for_every_video(server: Server, sdk: openai.OpenAI) -> None:
    assert len(server.replica_pids("gateway")) == 3
    made = sdk.videos.create(model="clips", prompt=PROMPT)
    polls = [sdk.videos.retrieve(made.id).id for _ in range(30)]
    assert set(polls) == {made.id}
    ended(sdk, made.id)
    assert {len(sdk.videos.download_content(made.id).read()) for _ in range(9)} != {0}
