"""The official SDK against the gateway's application, as it is; only the routers are a stand-in."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import pytest
from openai import BadRequestError, ConflictError, NotFoundError, OpenAI, RateLimitError
from starlette.testclient import TestClient

from cluster.errors import QueueFull
from cluster.job import job_of
from cluster.tasks import Task
from deployments.job_store import JobStore
from tests.unit.gateway.stand_in import CLIP, Routers, picture

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
"""OpenAI stops its own service of videos; its SDK still speaks to others."""


@pytest.fixture
def sdk(client: TestClient) -> Iterator[OpenAI]:
    with OpenAI(
        base_url="http://testserver/v1", api_key="none", http_client=client, max_retries=0
    ) as made:
        yield made


def made_by_hand(store: JobStore, routers: Routers, video_id: str) -> None:
    """What the runner of a gateway would do."""
    store.claim("here", time.time(), lease_s=60.0, max_attempts=3)
    kept = store.get(video_id, "")
    assert kept is not None
    receipt = routers.result_of(job_of(kept.job)).receipt.model_dump(mode="json")
    store.complete(video_id, "here", time.time(), receipt=receipt, result_bytes=len(CLIP))


def test_models_are_listed(sdk: OpenAI) -> None:
    assert [model.id for model in sdk.models.list()] == ["shapes", "clips", "moving"]


def test_pictures_are_made(sdk: OpenAI, routers: Routers) -> None:
    answer = sdk.images.generate(
        prompt="a red circle", size="64x64", n=2, quality="low", extra_body={"seed": 7}
    )
    assert answer.data is not None
    assert [base64.b64decode(each.b64_json or "") for each in answer.data] == [picture()] * 2
    (job,) = routers.jobs
    assert (job.tier_requested, job.seed, job.width) == ("ultra", 7, 64)


def test_a_picture_is_streamed(sdk: OpenAI, routers: Routers) -> None:
    routers.previews = (picture(colour="blue"),)
    stream = sdk.images.generate(prompt="a red circle", stream=True, partial_images=1)
    shown = {event.type: event for event in stream if event.type != "image_generation.progress"}
    preview, last = (
        shown[f"image_generation.{name}"].b64_json for name in ("partial_image", "completed")
    )
    assert base64.b64decode(preview) == routers.previews[0]
    assert base64.b64decode(last) == picture()


def test_pictures_are_edited_in_a_part_or_all_over(sdk: OpenAI, routers: Routers) -> None:
    sdk.images.edit(image=picture(), prompt="blue", mask=picture("webp"))
    sdk.images.edit(image=[picture()], prompt="blue", n=2, extra_body={"strength": 0.5})
    filled, edited = routers.jobs
    assert (filled.task, filled.mask) == (Task.INPAINTING, picture("webp"))
    assert (edited.task, edited.n, edited.strength) == (Task.IMAGE_TO_IMAGE, 2, 0.5)


def test_a_video_is_made_looked_at_listed_downloaded_and_deleted(
    sdk: OpenAI, store: JobStore, routers: Routers
) -> None:
    video = sdk.videos.create(prompt="waves", extra_body={"num_frames": 5})
    assert (video.status, video.progress) == ("queued", 0)
    with pytest.raises(ConflictError):
        sdk.videos.download_content(video.id)
    made_by_hand(store, routers, video.id)
    assert sdk.videos.retrieve(video.id).status == "completed"
    assert [each.id for each in sdk.videos.list()] == [video.id]
    assert sdk.videos.download_content(video.id).read() == CLIP
    assert sdk.videos.delete(video.id).deleted
    with pytest.raises(NotFoundError):
        sdk.videos.retrieve(video.id)


def test_a_video_may_begin_from_a_picture(sdk: OpenAI, store: JobStore) -> None:
    video = sdk.videos.create(model="moving", prompt="waves", input_reference=picture())
    assert store.input_reference(video.id) == picture()


def test_the_sdk_turns_the_pages_of_videos(sdk: OpenAI) -> None:
    made = [sdk.videos.create(prompt="waves").id for _ in range(5)]
    assert [video.id for video in sdk.videos.list(limit=2, order="asc")] == made


def test_errors_are_the_sdks_own_with_our_words(sdk: OpenAI, routers: Routers) -> None:
    with pytest.raises(BadRequestError) as refused:
        sdk.images.generate(prompt="a red circle", n=99)
    assert (refused.value.param, refused.value.code) == ("n", "invalid_value")
    routers.refusal = QueueFull("the line is full", retry_after_s=1)
    with pytest.raises(RateLimitError, match="the line is full"):
        sdk.images.generate(prompt="a red circle")
