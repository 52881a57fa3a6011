"""The process of a soak that asks: all kinds of requests in a mixed order.

It looks at no process of the server.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from benchmarks.paced import Called, arrivals, at_times, in_turn
from benchmarks.soak_kinds import KINDS, Caller, Wrong

ANSWER_S = 180.0
FAULTS_KEPT = 5
"""So many sentences of each kind."""


@dataclass
class Came:
    """Of one kind: how often it was done, and what was wrong."""

    times: int = 0
    wrong: int = 0
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Heard:
    """Of all: by kind, and the HTTP answers by status; conversations a second."""

    kinds: dict[str, Came]
    answers: Counter[int]
    a_second: float


@contextmanager
def process() -> Iterator[ProcessPoolExecutor]:
    """The process, for `soaked`."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as callers:
        yield callers


def soaked(
    url: str, keys: Mapping[str, str], seconds: float, rate: float | None, callers: int, seed: int
) -> Heard:
    """At `rate` conversations a second, or from `callers` that each begin the next at once."""
    return asyncio.run(_soaked(url, keys, seconds, rate, callers, seed))


async def _soaked(
    url: str, keys: Mapping[str, str], seconds: float, rate: float | None, callers: int, seed: int
) -> Heard:
    order = _order(seed)
    kinds: dict[str, Came] = {name: Came() for name in KINDS}
    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_S) as client:
        caller = Caller(client, keys)

        async def one(number: int) -> None:
            name = order[number % len(order)]
            came = kinds[name]
            came.times += 1
            try:
                await KINDS[name][0](caller)
            except (Wrong, httpx.TransportError, TimeoutError) as error:
                came.wrong += 1
                came.sentences[FAULTS_KEPT - 1 :] = [f"{name}: {error or repr(error)}"]

        done: list[Called[None]]
        if rate is None:
            done = await in_turn(one, callers, seconds)
        else:
            done = await at_times(one, arrivals(rate, seconds, seed))
    lasted_s = max((call.ended_s for call in done), default=seconds)
    return Heard(kinds, caller.requests, len(done) / max(seconds, lasted_s))


def _order(seed: int) -> list[str]:
    """A round of all kinds, each as often as it counts."""
    round_ = [name for name, (_, times) in KINDS.items() for _ in range(times)]
    random.Random(seed).shuffle(round_)
    return round_
