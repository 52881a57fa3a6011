"""Videos as OpenAI's SDK reads them."""

from __future__ import annotations

from typing import Any

import pytest
from openai.pagination import SyncConversationCursorPage
from openai.types import Video, VideoDeleteResponse

from cluster.video_job import VideoError, VideoJob, VideoStatus
from deployments.openai_videos import deleted_response, page_response, video_response
from deployments.openapi_shapes import DeletedVideo, VideoPage
from deployments.openapi_shapes import Video as OurVideo


def video(number: int = 1, **facts: Any) -> VideoJob:
    given = {
        "id": f"video_{number:024x}",
        "owner": "",
        "job": {},
        "prompt": "waves",
        "model": "clips",
        "size": "1280x720",
        "seconds": "2",
        "created_at": 1_700_000_000.9,
        "request_digest": "",
    }
    return VideoJob(**given | facts)


FAILED = video(
    status=VideoStatus.FAILED,
    error=VideoError("engine_failed", "out of memory"),
    completed_at=1_700_000_060.5,
    expires_at=1_700_086_460.5,
)


@pytest.mark.parametrize("made", [video(), FAILED], ids=["queued", "failed"])
def test_the_sdk_reads_a_video(made: VideoJob):
    read = Video.model_validate(video_response(made), strict=True)
    assert (read.id, read.object, read.status) == (made.id, "video", made.status.value)
    assert (read.progress, read.seconds, read.size) == (0, "2", "1280x720")


def test_times_are_whole_seconds_and_null_until_they_are_known():
    told = video_response(video())
    assert (told["created_at"], told["completed_at"]) == (1_700_000_000, None)
    ended = video_response(FAILED)
    assert (ended["completed_at"], ended["expires_at"]) == (1_700_000_060, 1_700_086_460)


def test_a_failed_video_says_why():
    assert video_response(FAILED)["error"] == {"code": "engine_failed", "message": "out of memory"}


@pytest.mark.parametrize("status", list(VideoStatus))
def test_every_status_is_one_of_the_document(status: VideoStatus):
    assert OurVideo.model_validate(video_response(video(status=status))).status == status.value


def test_a_page_names_its_first_and_last_and_the_sdk_turns_it():
    told = page_response([video(3), video(2)], has_more=True)
    assert (told["first_id"], told["last_id"]) == (video(3).id, video(2).id)
    VideoPage.model_validate(told)
    page = SyncConversationCursorPage[Video].model_validate(told)
    assert page.has_next_page()
    assert page.next_page_info() is not None


def test_an_empty_page_has_no_first_and_no_last():
    told = page_response([], has_more=False)
    assert VideoPage.model_validate(told).first_id is None
    assert told["data"] == []


def test_the_sdk_reads_that_a_video_is_deleted():
    told = deleted_response("video_1")
    DeletedVideo.model_validate(told)
    assert VideoDeleteResponse.model_validate(told, strict=True).deleted
