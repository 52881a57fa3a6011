"""Calls at a pace, whether or not those before are answered, or one after the other. No HTTP."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
SOON_S = 0.2


@dataclass(frozen=True)
class Called(Generic[T]):
    """One call, in seconds since the load began: when it was to begin, began and ended."""

    due_s: float
    began_s: float
    ended_s: float
    outcome: T

    @property
    def took_s(self) -> float:
        return self.ended_s - self.began_s

    @property
    def lag_s(self) -> float:
        """How much too late the caller itself was."""
        return self.began_s - self.due_s


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Poisson arrivals at that rate: the times at which calls are to begin."""
    rng, due_s, times = random.Random(seed), 0.0, []
    while (due_s := due_s + rng.expovariate(rate)) < seconds:
        times.append(due_s)
    return times


async def at_times(call: Callable[[int], Awaitable[T]], times: Sequence[float]) -> list[Called[T]]:
    """Begins call number k at `times[k]`, and returns when all are answered."""
    zero_s = time.monotonic() + SOON_S
    tasks = []
    for number, due_s in enumerate(times):
        await asyncio.sleep(zero_s + due_s - time.monotonic())
        tasks.append(asyncio.create_task(_called(call, number, due_s, zero_s)))
    return await asyncio.gather(*tasks)


async def in_turn(
    call: Callable[[int], Awaitable[T]], callers: int, seconds: float
) -> list[Called[T]]:
    """Each caller calls again as soon as it has its answer; none begins after so many seconds."""
    zero_s = time.monotonic()
    numbers = iter(range(10**9))

    async def caller() -> list[Called[T]]:
        done = []
        while (due_s := time.monotonic() - zero_s) < seconds:
            done.append(await _called(call, next(numbers), due_s, zero_s))
        return done

    by_caller = await asyncio.gather(*(caller() for _ in range(callers)))
    return [each for done in by_caller for each in done]


async def _called(
    call: Callable[[int], Awaitable[T]], number: int, due_s: float, zero_s: float
) -> Called[T]:
    began_s = time.monotonic() - zero_s
    outcome = await call(number)
    return Called(due_s, began_s, time.monotonic() - zero_s, outcome)
