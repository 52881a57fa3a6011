"""What an engine's thread notes of its job reaches those who watch on an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cluster.progress import Progress, Seen
from deployments import job_progress
from deployments.job_progress import JobProgress, Watched

SOON_S = 10.0
STEPS = 28


@pytest.fixture(autouse=True)
def _references_are_what_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_progress.ray, "put", lambda file: file)


def watching(work: Callable[[JobProgress], Awaitable[Any]]) -> Any:
    """What `work` makes of the progress of a job, in a loop of its own and in time."""

    async def bounded() -> Any:
        progress = JobProgress(STEPS, asyncio.get_running_loop())
        async with asyncio.timeout(SOON_S):
            return await work(progress)

    return asyncio.run(bounded())


def test_what_is_there_already_is_told_at_once() -> None:
    async def look(progress: JobProgress) -> Watched:
        progress.stepped(3)
        progress.add_preview(b"first")
        return await progress.beyond(Seen(), SOON_S)

    assert watching(look) == Watched(Progress("running", 3, STEPS), (b"first",))  # type: ignore[arg-type]


def test_a_watcher_is_told_only_the_previews_that_it_has_not_seen() -> None:
    async def look(progress: JobProgress) -> Watched:
        for file in (b"first", b"second", b"third"):
            progress.add_preview(file)
        return await progress.beyond(Seen(previews=2), SOON_S)

    assert watching(look).previews == (b"third",)


def test_a_watcher_who_has_seen_all_hears_nothing_until_the_time_is_over() -> None:
    async def look(progress: JobProgress) -> tuple[Watched, float]:
        progress.stepped(3)
        begun = time.monotonic()
        return await progress.beyond(Seen(3, 0), 0.1), time.monotonic() - begun

    told, waited_s = watching(look)
    assert told == Watched(Progress("running", 3, STEPS))
    assert waited_s >= 0.1


@pytest.mark.parametrize("note", ["step", "preview"])
def test_a_watcher_is_woken_from_the_engines_thread(note: str) -> None:
    async def look(progress: JobProgress) -> Watched:
        with ThreadPoolExecutor(1) as engine:
            watched = asyncio.ensure_future(progress.beyond(Seen(3, 0), SOON_S))
            await asyncio.sleep(0.02)
            assert not watched.done()
            if note == "step":
                engine.submit(progress.stepped, 4)
            else:
                engine.submit(progress.add_preview, b"first")
            return await watched

    told = watching(look)
    assert (told.progress.steps_done, told.previews) == (
        (4, ()) if note == "step" else (0, (b"first",))
    )


def test_every_watcher_hears_every_last_step_however_fast_they_come() -> None:
    async def look(progress: JobProgress) -> list[list[int]]:
        def run() -> None:
            for step in range(1, STEPS + 1):
                progress.stepped(step)
                progress.stepped(step)
                time.sleep(0.0005)

        async def watch() -> list[int]:
            heard = [0]
            while heard[-1] < STEPS:
                told = await progress.beyond(Seen(heard[-1], 0), SOON_S)
                heard.append(told.progress.steps_done)
            return heard

        with ThreadPoolExecutor(1) as engine:
            engine.submit(run)
            return await asyncio.gather(*(watch() for _ in range(5)))

    for heard in watching(look):
        assert heard == sorted(set(heard))


def test_of_a_job_that_was_begun_again_elsewhere_the_watcher_hears_after_a_while() -> None:
    async def look(progress: JobProgress) -> Watched:
        progress.stepped(2)
        progress.add_preview(b"again")
        return await progress.beyond(Seen(steps_done=20, previews=1), 0.05)

    assert watching(look) == Watched(Progress("running", 2, STEPS))
