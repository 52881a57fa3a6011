"""Calls to routers that answer, refuse, die, and are left; handles are stand-ins for Serve's."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from ray.exceptions import ObjectLostError, OwnerDiedError
from ray.serve.exceptions import DeploymentUnavailableError

from cluster.errors import DeadlinePassed, LimitReached, NoReplica, QueueFull
from cluster.job import Job
from cluster.key_limits import KeyLimits
from cluster.progress import Progress, Seen
from cluster.receipt import GenerateResult, Stored
from deployments import router_calls
from deployments.job_progress import Watched
from deployments.router_calls import JobEvent, RouterCalls
from tests.unit.cluster.jobs import job
from tests.unit.gateway.handles import (
    NEVER,
    SOON_S,
    Method,
    Router,
    died,
    lost_with,
    running,
    served,
)
from tests.unit.receipts import receipt


def within_time(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(SOON_S):
            return await work()

    return asyncio.run(bounded())


def submitted(make: Callable[[], Router], asked: Job) -> tuple[GenerateResult, Router]:
    """The result of a job, and the router that it was sent to."""

    async def submit() -> tuple[GenerateResult, Router]:
        router = make()
        return await RouterCalls({"shapes": router}, max_attempts=3).submit(asked), router

    result: tuple[GenerateResult, Router] = within_time(submit)
    return result


def test_a_router_that_counts_is_asked_for_keys_with_limits_alone() -> None:
    limited = job("v", key_id="ann", limits=KeyLimits(in_flight=1), images=(b"a picture",))

    async def reserve() -> list[Any]:
        refusal = LimitReached("in_flight: this key has 1 in flight", retry_after_s=3.0)
        router = Router(None, refusal, died(), DeploymentUnavailableError("shapes"))
        calls = RouterCalls({"shapes": router}, max_attempts=3)
        await calls.reserve(job("v", key_id="ann"))
        assert router.reserve.calls == []
        await calls.reserve(limited)
        for kind in (LimitReached, NoReplica, NoReplica):
            with pytest.raises(kind):
                await calls.reserve(limited)
        return [asked.images for (asked,) in router.reserve.calls]

    assert within_time(reserve) == [()] * 4


def followed(make: Callable[[], Router], asked: Job) -> tuple[list[JobEvent], Router]:
    """All that happens to a job."""

    async def follow() -> tuple[list[JobEvent], Router]:
        router = make()
        calls = RouterCalls({"shapes": router}, max_attempts=3)
        return [event async for event in calls.follow(asked, every_s=0.01)], router

    events: tuple[list[JobEvent], Router] = within_time(follow)
    return events


def test_the_pictures_come_with_their_receipt() -> None:
    result, router = submitted(lambda: Router(served()), job())
    assert result == GenerateResult((b"picture",), receipt(), "png")
    assert router.generate.calls == [(job(),)]


def test_pictures_that_are_stored_are_not_fetched() -> None:
    stored = (Stored("images/img_1_0", 3),)
    lost = served(lost_with(OwnerDiedError), stored)
    result, _ = submitted(lambda: Router(lost), job(store_as="images/img_1"))
    assert (result.images, result.stored) == ((), stored)


def test_an_error_that_is_answered_is_raised() -> None:
    with pytest.raises(QueueFull):
        submitted(lambda: Router(QueueFull("full")), job())


def test_a_job_is_sent_again_to_the_router_that_stands_in_for_a_dead_one() -> None:
    result, router = submitted(lambda: Router(died(), died(), served()), job())
    assert result.images == (b"picture",)
    assert [sent.attempt for (sent,) in router.generate.calls] == [1, 2, 3]


def test_a_job_whose_pictures_are_lost_is_sent_again() -> None:
    lost = served(lost_with(ObjectLostError))
    result, router = submitted(lambda: Router(lost, served()), job())
    assert result.images == (b"picture",)
    assert len(router.generate.calls) == 2


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_calls, "FETCH_S", 0.05)


@pytest.mark.usefixtures("impatient")
def test_a_job_whose_pictures_do_not_come_is_sent_again() -> None:
    result, router = submitted(lambda: Router(served(NEVER), served()), job())
    assert result.images == (b"picture",)
    assert len(router.generate.calls) == 2


@pytest.mark.usefixtures("impatient")
def test_a_deadline_ends_before_pictures_are_asked_for_anew() -> None:
    with pytest.raises(DeadlinePassed):
        submitted(lambda: Router(served(NEVER), served()), job(deadline_s=0.01))


def test_a_job_on_which_every_router_dies_is_given_up() -> None:
    with pytest.raises(NoReplica, match="lost 3 times") as refused:
        submitted(lambda: Router(died(), died(), died(), served()), job())
    assert refused.value.retry_after_s == 5


def test_where_serve_has_no_router_the_caller_may_come_again() -> None:
    with pytest.raises(NoReplica, match="no router takes requests now"):
        submitted(lambda: Router(DeploymentUnavailableError("router")), job())


class SlowDeath(Router):
    """Dies a moment after it was asked."""

    async def _generate(self, asked: Job) -> Any:
        await asyncio.sleep(0.05)
        return await super()._generate(asked)


def test_what_is_sent_again_has_what_is_left_of_its_deadline() -> None:
    _, router = submitted(lambda: SlowDeath(died(), served()), job(deadline_s=5.0))
    (first,), (second,) = router.generate.calls
    assert first.deadline_s == 5.0
    assert 4.0 < second.deadline_s <= 4.95


def test_a_promised_deadline_that_passed_meanwhile_is_broken() -> None:
    with pytest.raises(DeadlinePassed, match="passed before it could go again"):
        submitted(lambda: SlowDeath(died(), served()), job(deadline_s=0.01))


def test_who_accepts_to_be_late_is_sent_again_as_late() -> None:
    asked = job(deadline_s=0.01, late="accept")
    _, router = submitted(lambda: SlowDeath(died(), served()), asked)
    assert router.generate.calls[1][0].deadline_s == router_calls.LATE_ALREADY_S


def test_who_stops_to_wait_stops_the_work() -> None:
    async def leave() -> bool:
        router = Router(served(), open=False)
        waiting = asyncio.ensure_future(RouterCalls({"shapes": router}, 3).submit(job()))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait((waiting,))
        assert waiting.cancelled()
        return router.generate.responses[0].cancelled

    assert within_time(leave)


def test_progress_and_previews_come_as_they_happen_and_the_result_last() -> None:
    queued = Watched(Progress("queued", 0, 0))
    news = (queued, running(1), running(5, b"first"), running(9, b"second"))
    events, _ = followed(lambda: Router(served(), news=news, open=False), job(n=2))
    assert events == [
        Progress("queued", 0, 16),
        Progress("running", 1, 16),
        Progress("running", 5, 16),
        b"first",
        Progress("running", 9, 16),
        b"second",
        GenerateResult((b"picture",), receipt(), "png"),
    ]


def test_the_router_is_told_what_was_seen_and_tells_what_is_new() -> None:
    news = (running(1), running(5, b"a", b"b"), None, running(6))
    _, router = followed(lambda: Router(served(), news=news, open=False), job())
    assert [seen for _, seen in router.watch.calls] == [
        Seen(0, 0),
        Seen(1, 0),
        Seen(5, 2),
        Seen(5, 2),
        Seen(6, 2),
    ]


@pytest.mark.usefixtures("impatient")
def test_a_preview_that_does_not_come_is_left_out() -> None:
    news = (running(5, NEVER, b"second"),)
    events, _ = followed(lambda: Router(served(), news=news, open=False), job())
    assert events[1:-1] == [b"second"]


def test_a_preview_that_died_with_its_replica_is_left_out() -> None:
    lost = lost_with(OwnerDiedError)
    news = (running(5, lost, b"second"),)
    events, _ = followed(lambda: Router(served(), news=news, open=False), job())
    assert events[1:-1] == [b"second"]


@pytest.mark.parametrize("silence", [None, "dead", "gone"])
def test_a_router_that_tells_nothing_of_a_job_may_still_do_it(silence: str | None) -> None:
    news = {None: None, "dead": died(), "gone": DeploymentUnavailableError("router")}[silence]
    events, _ = followed(lambda: Router(served(), news=(news, running(3)), open=False), job())
    assert events[:-1] == [Progress("running", 3, 8)]
    assert isinstance(events[-1], GenerateResult)


def test_the_result_does_not_wait_for_news() -> None:
    begun = time.monotonic()
    events, _ = followed(lambda: Router(served()), job())
    assert len(events) == 1
    assert time.monotonic() - begun < SOON_S / 2


def test_news_come_no_more_often_than_asked_for() -> None:
    async def follow() -> float:
        news = tuple(running(step) for step in range(1, 6))
        calls = RouterCalls({"shapes": Router(served(), news=news, open=False)}, 3)
        begun = time.monotonic()
        events = [event async for event in calls.follow(job(), every_s=0.05)]
        assert len(events) == 6
        return time.monotonic() - begun

    assert within_time(follow) >= 0.25


def test_what_is_followed_is_refused_and_fails_as_what_is_waited_for() -> None:
    with pytest.raises(QueueFull):
        followed(lambda: Router(QueueFull("full")), job())
    with pytest.raises(NoReplica):
        followed(lambda: Router(died(), died(), died()), job())


@pytest.mark.parametrize("how", ["closed", "cancelled"])
def test_who_stops_to_follow_stops_the_work(how: str) -> None:
    async def leave() -> bool:
        router = Router(served(), news=(running(1),), open=False)
        seen = asyncio.Event()

        async def follow() -> None:
            async with aclosing(RouterCalls({"shapes": router}, 3).follow(job())) as happening:
                async for _ in happening:
                    seen.set()
                    if how == "closed":
                        return

        following = asyncio.ensure_future(follow())
        await seen.wait()
        if how == "cancelled":
            following.cancel()
        await asyncio.wait((following,))
        await asyncio.sleep(0.01)
        return router.generate.responses[0].cancelled

    assert within_time(leave)


def test_a_job_is_sent_from_a_context_that_belongs_to_no_request() -> None:
    request = contextvars.ContextVar("request", default="none")

    async def follow() -> Router:
        request.set("a caller's")
        router = Router(served(), news=(running(1),), open=False)
        async for _ in RouterCalls({"shapes": router}, 3).follow(job(), every_s=0.01):
            pass
        return router

    router = within_time(follow)
    assert request not in router.generate.contexts[0]


def test_a_question_to_all_leaves_out_those_that_are_dead_or_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(router_calls, "ROUTER_ANSWER_S", 0.05)

    async def tells() -> str:
        return "much"

    async def dies() -> str:
        raise died()

    async def hangs() -> str:
        await asyncio.sleep(SOON_S)
        return "late"

    async def ask() -> dict[str, Any]:
        handles = {}
        for name, answering in {"a": tells, "b": dies, "c": hangs, "d": tells}.items():
            handles[name] = type("Handle", (), {"load": Method(answering)})()
        calls = RouterCalls(handles, 3)
        assert calls.models == ("a", "b", "c", "d")
        return await calls.ask_all("load")

    assert within_time(ask) == {"a": "much", "d": "much"}
