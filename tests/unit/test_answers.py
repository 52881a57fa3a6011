"""Who is told what became of a job, when its callers come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cluster.errors import QueueFull

pytestmark = pytest.mark.filterwarnings("ignore")

FIRST, SECOND = QueueFull("first", retry_after_s=1), QueueFull("second", retry_after_s=1)


def ran(scene: Callable[[Any, list[str]], Any]) -> list[str]:
    """Who left, by name, in a scene with an `Answers`."""
    from deployments.answers import Answers

    left: list[str] = []
    asyncio.run(asyncio.wait_for(scene(Answers(), left), 10))
    return left


def waiting(answers: Any, name: str, left: list[str]) -> asyncio.Task[Any]:
    if "job" not in answers:
        answers.owe("job")
    return asyncio.create_task(answers.wait("job", lambda: left.append(name)))


def test_all_who_wait_are_told() -> None:
    async def scene(answers: Any, left: list[str]) -> None:
        callers = [waiting(answers, name, left) for name in ("one", "other")]
        await asyncio.sleep(0)
        answers.give("job", FIRST)
        answers.give("job", SECOND)
        assert await asyncio.gather(*callers) == [FIRST, FIRST]
        assert "job" not in answers

    assert ran(scene) == []


def test_only_the_last_who_came_ends_it_by_leaving() -> None:
    async def scene(answers: Any, left: list[str]) -> None:
        one, last = (waiting(answers, name, left) for name in ("one", "last"))
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.sleep(0)
        assert left == []
        assert "job" in answers
        last.cancel()
        await asyncio.wait([one, last])
        assert "job" not in answers

    assert ran(scene) == ["last"]


def test_who_comes_again_at_once_is_owed_an_answer_of_its_own() -> None:
    """The end of the first must not let go of the second: nobody would be told."""

    async def scene(answers: Any, left: list[str]) -> None:
        first = waiting(answers, "first", left)
        await asyncio.sleep(0)
        first.cancel()
        while "job" in answers:
            await asyncio.sleep(0)
        second = waiting(answers, "second", left)
        for _ in range(5):
            await asyncio.sleep(0)
        assert "job" in answers
        answers.give("job", SECOND)
        assert await second == SECOND

    assert ran(scene) == ["first"]


def test_a_word_to_nobody_is_lost() -> None:
    async def scene(answers: Any, left: list[str]) -> None:
        answers.give("job", FIRST)
        assert "job" not in answers

    assert ran(scene) == []
