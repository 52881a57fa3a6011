"""Videos from the job store to their ends: on a real store, with a stand-in for the routers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from cluster.config import ClusterConfig
from cluster.errors import (
    ConfigError,
    EngineFailed,
    JobStoreUnavailable,
    NoReplica,
    OutOfReach,
    QueueFull,
)
from cluster.request import parse_video_request
from cluster.video_job import VideoJob, VideoStatus
from deployments import video_runner
from deployments.job_store import JobStore
from deployments.results import ResultStore
from deployments.settled import settled
from deployments.shelves import VIDEOS
from deployments.video_runner import VideoRunner
from tests.unit.gateway.stand_in import CLIP, Routers, picture

SOON_S = 15.0
QUEUED, IN_PROGRESS = VideoStatus.QUEUED, VideoStatus.IN_PROGRESS
COMPLETED, FAILED, CANCELLED = VideoStatus.COMPLETED, VideoStatus.FAILED, VideoStatus.CANCELLED


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that happens now and then happens much sooner."""
    monkeypatch.setattr(video_runner, "RENEW_S", 0.05)
    monkeypatch.setattr(video_runner, "LOOK_S", 0.05)
    monkeypatch.setattr(video_runner, "AGAIN_S", 0.05)


@dataclass
class Gateways:
    """What gateways share, and what a test does to it."""

    config: ClusterConfig
    routers: Routers
    store: JobStore
    results: ResultStore

    def runner(self) -> VideoRunner:
        return VideoRunner(self.config, self.routers, self.store, self.results)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[VideoRunner]:
        runner = self.runner()
        runner.start()
        yield runner
        await runner.stop()

    async def asked(
        self, model: str = "clips", created_s_ago: float = 0.0, **fields: Any
    ) -> VideoJob:
        """A video that waits in the store."""
        request = parse_video_request({"prompt": "waves"} | fields)
        job = await settled(request.as_generate(model, None), self.config, VIDEOS)
        video = VideoJob(
            id=job.request_id,
            owner="",
            job=job.as_mapping(),
            prompt=job.prompt,
            model=job.model,
            size=f"{job.width}x{job.height}",
            seconds="1",
            created_at=time.time() - created_s_ago,
            request_digest=job.request_id,
        )
        return await asyncio.to_thread(self.store.add, video, request.input_reference)

    def now(self, video: VideoJob) -> VideoJob:
        found = self.store.get(video.id, "")
        assert found is not None
        return found

    async def becomes(self, video: VideoJob, status: VideoStatus) -> VideoJob:
        """The video as it is when it has that status."""
        await self.until(lambda: self.now(video).status is status)
        return self.now(video)

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            await asyncio.sleep(0.01)

    def has_clip(self, video: VideoJob) -> bool:
        return self.results.exists(VIDEOS.key(video.id))


@pytest.fixture
def gateways(
    config: ClusterConfig, routers: Routers, store: JobStore, results: ResultStore
) -> Gateways:
    return Gateways(config, routers, store, results)


def within_time(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(SOON_S):
            await work()

    asyncio.run(bounded())


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
    monkeypatch.setattr(video_runner, "LOOK_S", SOON_S)

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
    monkeypatch.setattr(video_runner, "RENEW_S", SOON_S)

    async def work() -> None:
        gateways.routers.open.clear()
        async with gateways.running():
            video = await gateways.asked()
            await gateways.until(lambda: len(gateways.routers.jobs) == 1)
            if how == "cancelled":
                gateways.store.cancel(video.id, "", time.time())
            else:
                gateways.store.delete(video.id, "")
            gateways.routers.open.set()
            await gateways.until(lambda: gateways.has_clip(video))
            await gateways.until(lambda: not gateways.has_clip(video))

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


def test_what_nobody_expected_is_tried_again_and_at_last_given_up(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(video_runner, "LEASE_S", 0.1)
    monkeypatch.setattr(video_runner, "CLAIMS_MOST", 2)

    async def work() -> None:
        gateways.routers.failure = RuntimeError("a bug")
        async with gateways.running():
            video = await gateways.becomes(await gateways.asked(), FAILED)
        assert video.error is not None
        assert video.error.code == "too_many_attempts"
        assert len(gateways.routers.jobs) == 2

    within_time(work)
    assert "a bug" in caplog.text


@dataclass
class Outage:
    """A store of which some methods do not answer for a while."""

    store: JobStore
    monkeypatch: pytest.MonkeyPatch
    refused: int = 0

    def of(self, method: str, times: int) -> None:
        answer = getattr(self.store, method)

        def ask(*args: Any, **facts: Any) -> Any:
            nonlocal times
            if times:
                times -= 1
                self.refused += 1
                raise JobStoreUnavailable("the database is gone", retry_after_s=5)
            return answer(*args, **facts)

        self.monkeypatch.setattr(self.store, method, ask)


@pytest.mark.parametrize("method", ["claim", "input_reference", "renew", "complete"])
def test_a_store_that_does_not_answer_for_a_while_costs_no_work(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    outage = Outage(gateways.store, monkeypatch)
    outage.of(method, 3)

    async def work() -> None:
        gateways.routers.open.clear()
        async with gateways.running():
            video = await gateways.asked()
            await gateways.until(lambda: len(gateways.routers.jobs) == 1)
            await asyncio.sleep(0.3)
            gateways.routers.open.set()
            made = await gateways.becomes(video, COMPLETED)
        assert (made.attempts, outage.refused) == (1, 3)
        assert len(gateways.routers.jobs) == 1

    within_time(work)


def test_a_failure_is_written_once_the_store_answers(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    Outage(gateways.store, monkeypatch).of("fail", 3)

    async def work() -> None:
        gateways.routers.failure = EngineFailed("out of memory")
        async with gateways.running():
            await gateways.becomes(await gateways.asked(), FAILED)

    within_time(work)


def test_a_store_of_another_version_is_asked_again_and_does_not_end_the_gateway(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    claim = gateways.store.claim

    def refuse(*args: Any, **facts: Any) -> None:
        monkeypatch.setattr(gateways.store, "claim", claim)
        raise ConfigError("its tables are of a newer version")

    monkeypatch.setattr(gateways.store, "claim", refuse)

    async def work() -> None:
        async with gateways.running():
            await gateways.becomes(await gateways.asked(), COMPLETED)

    within_time(work)
    assert "newer version" in caplog.text


def test_a_lease_that_lapsed_while_the_store_was_away_begins_no_second_work(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_runner, "LEASE_S", 0.01)
    monkeypatch.setattr(video_runner, "RENEW_S", SOON_S)

    async def work() -> None:
        gateways.routers.open.clear()
        async with gateways.running():
            video = await gateways.asked()
            await gateways.until(lambda: gateways.now(video).attempts >= 3)
            gateways.routers.open.set()
            await gateways.becomes(video, COMPLETED)
        assert len(gateways.routers.jobs) == 1

    within_time(work)


def test_who_lost_its_lease_to_another_stops(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_runner, "LEASE_S", 0.01)
    monkeypatch.setattr(video_runner, "RENEW_S", 0.3)
    monkeypatch.setattr(video_runner, "LOOK_S", SOON_S)

    async def work() -> None:
        gateways.routers.open.clear()
        async with gateways.running() as runner:
            video = await gateways.asked()
            runner.poke()
            await gateways.until(lambda: len(gateways.routers.jobs) == 1)
            await asyncio.sleep(0.05)
            claim = gateways.store.claim("another", time.time(), lease_s=60.0, max_attempts=9)
            assert claim is not None
            await gateways.until(lambda: gateways.routers.left == 1)
        assert gateways.now(video).lease_holder == "another"

    within_time(work)


def test_several_gateways_make_each_video_once(gateways: Gateways) -> None:
    async def work() -> None:
        videos = [await gateways.asked() for _ in range(12)]
        async with gateways.running(), gateways.running(), gateways.running():
            for video in videos:
                await gateways.becomes(video, COMPLETED)
        assert sorted(job.request_id for job in gateways.routers.jobs) == sorted(
            video.id for video in videos
        )
        assert gateways.routers.at_once == 1

    within_time(work)


def test_the_videos_of_a_gateway_that_died_are_made_by_another(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_runner, "LEASE_S", 0.3)

    async def work() -> None:
        video = await gateways.asked()
        dead = gateways.store.claim("dead", time.time(), lease_s=0.3, max_attempts=9)
        assert dead is not None
        async with gateways.running():
            made = await gateways.becomes(video, COMPLETED)
        assert (made.attempts, gateways.routers.at_once) == (2, 1)

    within_time(work)


def test_a_gateway_that_stops_hands_its_videos_back_and_lets_the_work_go_on(
    gateways: Gateways,
) -> None:
    async def work() -> None:
        gateways.routers.open.clear()
        async with gateways.running():
            video = await gateways.asked()
            await gateways.until(lambda: len(gateways.routers.jobs) == 1)
        waits = gateways.now(video)
        assert (waits.status, waits.attempts, waits.lease_holder) == (QUEUED, 0, None)
        await asyncio.sleep(0.3)
        assert gateways.routers.left == 0
        gateways.routers.open.set()
        async with gateways.running():
            made = await gateways.becomes(video, COMPLETED)
        assert made.attempts == 1

    within_time(work)


def test_a_gateway_that_stops_takes_nothing_new(gateways: Gateways) -> None:
    async def work() -> None:
        async with gateways.running() as runner:
            pass
        video = await gateways.asked()
        runner.poke()
        await asyncio.sleep(0.2)
        assert gateways.now(video).status is QUEUED

    within_time(work)


def test_a_gateway_can_stop_while_the_store_does_not_answer(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        gateways.routers.open.clear()
        async with gateways.running():
            await gateways.asked()
            await gateways.until(lambda: len(gateways.routers.jobs) == 1)
            Outage(gateways.store, monkeypatch).of("release", 1)

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
