"""Videos from the job store to their ends: on a real store, with a stand-in for the routers."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from cluster.errors import (
    EngineFailed,
    JobStoreUnavailable,
    NoReplica,
    OutOfReach,
    QueueFull,
)
from cluster.video_job import VideoStatus
from deployments import video_runner
from deployments.shelves import VIDEOS
from tests.unit.gateway.stand_in import CLIP, picture
from tests.unit.gateway.video_gateways import GIVE_UP_S, NEVER_S, Gateways, within_time

IN_PROGRESS, COMPLETED = VideoStatus.IN_PROGRESS, VideoStatus.COMPLETED
FAILED, CANCELLED = VideoStatus.FAILED, VideoStatus.CANCELLED


def test_a_video_is_made_once_and_its_clip_is_there(gateways: Gateways) -> None:
    async def work() -> None:
        async with gateways.running():
            video = await gateways.becomes(await gateways.asked(seed=7), COMPLETED)
            await asyncio.sleep(0.2)
        assert (video.progress, video.attempts, video.result_bytes) == (100, 1, len(CLIP))
        assert video.receipt is not None
        assert (video.receipt["request_id"], video.receipt["seed"]) == (video.id, 7)
        assert gateways.results.read(VIDEOS.key(video.id)) == CLIP
        assert len(gateways.routers.jobs) == 1

    within_time(work)


def test_a_new_video_does_not_wait_for_the_next_look(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_runner, "LOOK_S", NEVER_S)

    async def work() -> None:
        async with gateways.running() as runner:
            await asyncio.sleep(0.1)
            video = await gateways.asked()
            runner.poke()
            await gateways.becomes(video, COMPLETED)

    within_time(work)


def test_progress_is_written_and_the_lease_is_held_while_it_is_made(gateways: Gateways) -> None:
    async def work() -> None:
        gateways.routers.open.clear()
        async with gateways.running():
            video = await gateways.asked()
            await gateways.until(lambda: gateways.now(video).progress > 0)
            one, _ = gateways.now(video), await asyncio.sleep(0.2)
            other = gateways.now(video)
            assert one.lease_until is not None
            assert other.lease_until is not None
            assert other.lease_until > one.lease_until
            assert (other.status, other.progress) == (IN_PROGRESS, 12)
            gateways.routers.open.set()
            await gateways.becomes(video, COMPLETED)

    within_time(work)


def test_the_picture_that_a_clip_begins_from_goes_with_its_job(gateways: Gateways) -> None:
    async def work() -> None:
        async with gateways.running():
            video = await gateways.asked("moving", input_reference=picture())
            await gateways.becomes(video, COMPLETED)
        (job,) = gateways.routers.jobs
        assert job.images == (picture(),)

    within_time(work)


@pytest.mark.parametrize("here", [True, False], ids=["here", "at another gateway"])
@pytest.mark.parametrize("how", ["cancelled", "deleted"])
def test_work_on_a_video_that_nobody_wants_any_more_stops(
    gateways: Gateways, how: str, here: bool
) -> None:
    async def work() -> None:
        gateways.routers.open.clear()
        async with gateways.running() as runner:
            video = await gateways.asked()
            await gateways.until(lambda: len(gateways.routers.jobs) == 1)
            if how == "cancelled":
                gateways.store.cancel(video.id, "", time.time())
            else:
                gateways.store.delete(video.id, "")
            if here:
                runner.drop(video.id)
            await gateways.until(lambda: gateways.routers.left == 1)
        assert not gateways.has_clip(video)
        if how == "cancelled":
            assert gateways.now(video).status is CANCELLED

    within_time(work)


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
def test_a_clip_that_is_ready_after_its_video_was_given_up_is_deleted(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(video_runner, "RENEW_S", NEVER_S)
    deleted: list[str] = []

    async def work() -> None:
        gateways.routers.open.clear()
        async with gateways.running():
            video = await gateways.asked()
            await gateways.until(lambda: len(gateways.routers.jobs) == 1)
            if how == "cancelled":
                gateways.store.cancel(video.id, "", time.time())
            else:
                gateways.store.delete(video.id, "")
            monkeypatch.setattr(gateways.results, "delete", deleted.append)
            gateways.routers.open.set()
            await gateways.until(lambda: deleted == [VIDEOS.key(video.id)])
            assert gateways.has_clip(video)

    within_time(work)


@pytest.mark.parametrize(
    "refusal", [QueueFull("full"), NoReplica("none"), JobStoreUnavailable("gone")]
)
def test_a_video_that_cannot_be_taken_now_waits_and_that_is_no_attempt(
    gateways: Gateways, refusal: Any
) -> None:
    async def work() -> None:
        gateways.routers.refusal = refusal
        async with gateways.running():
            video = await gateways.asked()
            await gateways.until(lambda: len(gateways.routers.jobs) >= 3)
            gateways.routers.refusal = None
            made = await gateways.becomes(video, COMPLETED)
        assert made.attempts == 1

    within_time(work)


def test_who_hands_a_video_back_may_claim_it_before_it_knows_that_the_store_has_it(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, claimed = gateways.store, threading.Event()
    release, claim = store.release, store.claim

    def released_and_claimed(*args: Any) -> bool:
        claimed.clear()
        answer = release(*args)
        assert claimed.wait(GIVE_UP_S)
        return answer

    def seen_claim(*args: Any, **facts: Any) -> Any:
        video = claim(*args, **facts)
        if video is not None:
            claimed.set()
        return video

    monkeypatch.setattr(store, "release", released_and_claimed)
    monkeypatch.setattr(store, "claim", seen_claim)
    monkeypatch.setattr(video_runner, "LEASE_S", NEVER_S)

    async def work() -> None:
        gateways.routers.refusal = NoReplica("none")
        async with gateways.running():
            video = await gateways.asked()
            await gateways.until(lambda: len(gateways.routers.jobs) >= 3)
            gateways.routers.refusal = None
            made = await gateways.becomes(video, COMPLETED)
        assert made.attempts == 1

    within_time(work)


@pytest.mark.parametrize(
    "error",
    [
        EngineFailed("out of memory at 64x32"),
        OutOfReach("deadline_ms: 0.1 s cannot be kept", param="deadline_ms"),
    ],
)
def test_a_video_that_fails_says_why_and_is_not_tried_again(gateways: Gateways, error: Any) -> None:
    async def work() -> None:
        gateways.routers.failure = error
        async with gateways.running():
            video = await gateways.becomes(await gateways.asked(), FAILED)
            await asyncio.sleep(0.2)
        assert video.error is not None
        assert (video.error.code, video.error.message) == (error.code, error.message)
        assert len(gateways.routers.jobs) == 1

    within_time(work)


@pytest.mark.parametrize(
    ("late", "status", "sent_with"), [("refuse", FAILED, []), ("accept", COMPLETED, [0.001])]
)
def test_a_deadline_counts_from_when_the_video_was_asked_for(
    gateways: Gateways, late: str, status: VideoStatus, sent_with: list[float]
) -> None:
    async def work() -> None:
        async with gateways.running():
            fields = {"deadline_ms": 1000, "late": late}
            video = await gateways.asked(created_s_ago=5.0, **fields)
            ended = await gateways.becomes(video, status)
        assert [job.deadline_s for job in gateways.routers.jobs] == sent_with
        if late == "refuse":
            assert ended.error is not None
            assert ended.error.code == "deadline_passed"

    within_time(work)


def test_without_a_model_that_makes_videos_nobody_looks(gateways: Gateways) -> None:
    async def work() -> None:
        shapes = gateways.config.models[:1]
        gateways.config = gateways.config.model_copy(update={"models": shapes})
        async with gateways.running():
            pass

    within_time(work)
