"""What stores that do not answer, lost leases, and the ends of gateways do to videos: no harm."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import pytest

from cluster.errors import (
    ConfigError,
    EngineFailed,
    JobStoreUnavailable,
)
from cluster.video_job import VideoStatus
from deployments import video_runner
from deployments.job_store import JobStore
from tests.unit.gateway.video_gateways import NEVER_S, Gateways, within_time

QUEUED, COMPLETED, FAILED = VideoStatus.QUEUED, VideoStatus.COMPLETED, VideoStatus.FAILED


def test_what_nobody_expected_is_tried_again_and_at_last_given_up(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(video_runner, "LEASE_S", 0.2)
    monkeypatch.setattr(video_runner, "CLAIMS_MOST", 5)

    async def work() -> None:
        gateways.routers.failure = RuntimeError("a bug")
        async with gateways.running():
            video = await gateways.becomes(await gateways.asked(), FAILED)
        assert video.error is not None
        assert video.error.code == "too_many_attempts"
        assert len(gateways.routers.jobs) > 1

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
    monkeypatch.setattr(video_runner, "CLAIMS_MOST", 1_000_000)
    monkeypatch.setattr(video_runner, "RENEW_S", NEVER_S)

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
    monkeypatch.setattr(video_runner, "CLAIMS_MOST", 1_000_000)
    monkeypatch.setattr(video_runner, "RENEW_S", 0.3)
    monkeypatch.setattr(video_runner, "LOOK_S", NEVER_S)

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
