"""What may become of a video, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import video_job
from cluster.errors import InvalidRequest
from cluster.video_job import (
    IDEMPOTENCY_KEY_MAX_CHARS,
    Transition,
    VideoError,
    VideoJob,
    VideoStatus,
    check_idempotency_key,
    is_video_id,
    percent_done,
    request_digest,
)

QUEUED = VideoJob(
    id="video_1f",
    owner="",
    job={"num_frames": 17},
    prompt="a circle",
    model="shapes-video",
    size="128x128",
    seconds="2",
    created_at=90.0,
    request_digest="d",
)
FINISHED = [status for status in VideoStatus if status.finished]


def claim(video: VideoJob, holder: str = "a", now_s: float = 100.0, **facts: Any) -> Transition:
    given = {"lease_s": 30.0, "max_attempts": 3, "keep_s": 1000.0}
    return video_job.claim(video, holder, now_s, **(given | facts))


def renew(video: VideoJob, holder: str, now_s: float, progress: int = 0) -> Transition:
    return video_job.renew(video, holder, now_s, lease_s=30.0, progress=progress)


def complete(video: VideoJob, holder: str, now_s: float = 110.0) -> Transition:
    return video_job.complete(
        video, holder, now_s, receipt={"seed": 1}, result_bytes=7, keep_s=1000.0
    )


HELD = claim(QUEUED).video


def test_a_video_that_waits_is_had_by_who_asks() -> None:
    found = claim(QUEUED)
    assert (found.granted, found.reason) == (True, "it waits")
    assert found.video.status is VideoStatus.IN_PROGRESS
    assert (found.video.lease_holder, found.video.lease_until) == ("a", 130.0)
    assert found.video.attempts == 1


def test_a_video_that_is_held_is_not_had_by_another() -> None:
    found = claim(HELD, "b", 129.9)
    assert found == Transition(HELD, False, "a holds it for another 0.1 s")


def test_a_video_whose_lease_lapsed_is_had_by_who_asks_next() -> None:
    found = claim(HELD, "b", 130.0)
    assert (found.granted, found.reason) == (True, "a's lease lapsed")
    assert (found.video.lease_holder, found.video.attempts) == ("b", 2)


@pytest.mark.parametrize("status", FINISHED)
def test_a_video_that_ended_is_had_by_nobody(status: VideoStatus) -> None:
    ended = replace(HELD, status=status, lease_until=None)
    assert claim(ended, "b", 1e9) == Transition(ended, False, f"it is {status}")


def test_a_video_that_was_begun_too_often_fails_with_a_sentence() -> None:
    found = claim(replace(HELD, attempts=3), "b", 130.0)
    assert not found.granted
    assert found.video.status is VideoStatus.FAILED
    assert found.video.error is not None
    assert found.video.error.code == "too_many_attempts"
    assert "3 times" in found.video.error.message
    assert (found.video.completed_at, found.video.expires_at) == (130.0, 1130.0)


def test_what_was_begun_once_where_once_is_allowed_is_said_in_words() -> None:
    found = claim(HELD, "b", 130.0, max_attempts=1)
    assert "begun once and" in found.reason


def test_a_holder_keeps_its_video_by_renewing() -> None:
    found = renew(HELD, "a", 120.0, progress=40)
    assert found.granted
    assert (found.video.lease_until, found.video.progress) == (150.0, 40)


def test_a_holder_that_comes_late_keeps_what_nobody_else_took() -> None:
    assert renew(HELD, "a", 1000.0).granted


@pytest.mark.parametrize("says", [renew, complete])
def test_a_holder_that_lost_its_lease_to_another_has_no_say(says: Any) -> None:
    taken = claim(HELD, "b", 130.0).video
    assert says(taken, "a", 131.0) == Transition(taken, False, "b holds it")


@pytest.mark.parametrize("says", [renew, complete])
def test_nobody_has_a_say_in_a_video_that_waits(says: Any) -> None:
    assert says(QUEUED, "a", 131.0) == Transition(QUEUED, False, "it waits, and nobody holds it")


@pytest.mark.parametrize("says", [renew, complete])
def test_a_holder_learns_that_its_video_was_cancelled(says: Any) -> None:
    cancelled = video_job.cancel(HELD, 105.0, keep_s=1000.0).video
    assert says(cancelled, "a", 106.0) == Transition(cancelled, False, "it is cancelled")


def test_a_video_that_is_handed_back_waits_in_its_old_place_and_that_was_no_attempt() -> None:
    found = video_job.release(renew(HELD, "a", 101.0, progress=40).video, "a")
    assert found.granted
    assert found.video == replace(QUEUED, progress=40)
    assert not video_job.release(found.video, "a").granted


def test_a_completed_video_has_its_receipt_and_an_end() -> None:
    found = complete(HELD, "a")
    assert found.granted
    done = found.video
    assert (done.status, done.progress) == (VideoStatus.COMPLETED, 100)
    assert (done.receipt, done.result_bytes, done.error) == ({"seed": 1}, 7, None)
    assert (done.completed_at, done.expires_at) == (110.0, 1110.0)


def test_who_completed_a_video_may_say_so_again_and_nobody_else() -> None:
    done = complete(HELD, "a").video
    assert complete(done, "a", 999.0) == Transition(done, True, "a has said so before")
    assert not complete(done, "b", 999.0).granted


def test_a_video_that_its_holder_gives_up_says_why() -> None:
    error = VideoError("engine_failed", "out of memory")
    found = video_job.fail(HELD, "a", 110.0, error=error, keep_s=1000.0)
    assert (found.granted, found.reason) == (True, "out of memory")
    assert (found.video.status, found.video.error) == (VideoStatus.FAILED, error)
    assert not video_job.fail(HELD, "b", 110.0, error=error, keep_s=1000.0).granted


@pytest.mark.parametrize("video", [QUEUED, HELD], ids=["queued", "in_progress"])
def test_a_video_that_has_not_ended_can_be_cancelled(video: VideoJob) -> None:
    found = video_job.cancel(video, 110.0, keep_s=1000.0)
    assert found.granted
    assert found.video.status is VideoStatus.CANCELLED
    assert found.video.expires_at == 1110.0


@pytest.mark.parametrize("status", FINISHED)
def test_a_video_that_ended_cannot_be_cancelled(status: VideoStatus) -> None:
    ended = replace(HELD, status=status)
    assert video_job.cancel(ended, 110.0, keep_s=1.0) == Transition(ended, False, f"it is {status}")


@given(st.lists(st.integers(0, 100)))
def test_progress_never_falls_and_stays_under_100_until_the_result_is_there(
    reports: list[int],
) -> None:
    video, before = HELD, 0
    for report in reports:
        video = renew(video, "a", 101.0, progress=report).video
        assert before <= video.progress <= 99
        before = video.progress


@pytest.mark.parametrize(
    ("done", "steps", "percent"), [(0, 28, 0), (1, 28, 3), (14, 28, 50), (28, 28, 99), (1, 1, 99)]
)
def test_progress_is_the_share_of_steps_in_whole_percent(
    done: int, steps: int, percent: int
) -> None:
    assert percent_done(done, steps) == percent


def test_a_video_expires_at_its_time_and_never_before_its_end() -> None:
    done = complete(HELD, "a").video
    assert [done.expired(now_s) for now_s in (1109.9, 1110.0)] == [False, True]
    assert not HELD.expired(1e12)


@pytest.mark.parametrize("text", ["", "video_", "video_G", "video_1\n", "video_\0", "1f", "a" * 80])
def test_what_cannot_be_the_id_of_a_video_is_told(text: str) -> None:
    assert not is_video_id(text)
    assert is_video_id("video_0123456789abcdef")


def test_requests_are_the_same_by_what_they_ask_for_and_the_file_that_they_bring() -> None:
    asked = {"prompt": "é\ud800", "seed": 1}
    assert request_digest(asked, None) == request_digest(dict(reversed(asked.items())), None)
    others = [(asked | {"seed": 2}, None), (asked, b""), (asked, b"png"), ({}, None)]
    digests = [request_digest(asked, None), *(request_digest(*other) for other in others)]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("key", ["", "a\0b", "a\nb", "x" * (IDEMPOTENCY_KEY_MAX_CHARS + 1)])
def test_a_key_that_no_database_takes_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_idempotency_key(key)
    assert refused.value.param == "Idempotency-Key"
    check_idempotency_key("é" * IDEMPOTENCY_KEY_MAX_CHARS)
