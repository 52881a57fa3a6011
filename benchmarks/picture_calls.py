"""A process of its own that asks a server for pictures: as fast as it makes them, or faster."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import time
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.paced import Called, arrivals, at_times, in_turn

PROMPT = "a red circle left of a blue square on a white background"
SEEDS = 8
"""So many different pictures are asked for, in turn."""

NICE = -5
"""Before the server's processes, where that is allowed: what waits is the server, not the clock."""

ANSWER_S = 180.0


@dataclass(frozen=True)
class Asking:
    """What is asked of which server; every second request has the deadline, if there is one.

    `right` are the SHA-256 digests of the pictures by seed, as an idle server made them.
    """

    url: str
    fields: Mapping[str, Any]
    right: Mapping[int, str]
    deadline_s: float | None = None


@dataclass(frozen=True)
class Answer:
    """A status, None where there was no answer; whether the picture is right; the deadline."""

    status: int | None
    right: bool
    deadline_s: float | None
    says: str = ""


@dataclass(frozen=True)
class Asked:
    """The calls, and the share of one core that the process of the callers took."""

    calls: list[Called[Answer]]
    cpu_share: float


def right_pictures(url: str, fields: Mapping[str, Any]) -> dict[int, str]:
    """The digest of each seed's picture; raises httpx.HTTPStatusError where one is refused."""
    digests = {}
    with httpx.Client(base_url=url, timeout=ANSWER_S) as client:
        for seed in range(SEEDS):
            answer = client.post("/v1/images/generations", json={**fields, "seed": seed})
            digests[seed] = _digest(answer.raise_for_status())
    return digests


@contextmanager
def caller() -> Iterator[ProcessPoolExecutor]:
    """The process, for `as_fast_as_made` and `faster`."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_go_first) as process:
        yield process


def as_fast_as_made(asking: Asking, callers: int, seconds: float) -> Asked:
    """Each caller asks again when it has its picture."""

    async def calls() -> list[Called[Answer]]:
        async with _client(asking) as client:
            return await in_turn(lambda number: _ask(client, asking, number), callers, seconds)

    return _measured(calls())


def faster(asking: Asking, rate: float, seconds: float, seed: int) -> Asked:
    """So many requests a second, whatever becomes of them."""

    async def calls() -> list[Called[Answer]]:
        async with _client(asking) as client:
            times = arrivals(rate, seconds, seed)
            return await at_times(lambda number: _ask(client, asking, number), times)

    return _measured(calls())


def _measured(calls: Coroutine[Any, Any, list[Called[Answer]]]) -> Asked:
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    done = asyncio.run(calls)
    return Asked(done, (time.process_time() - began_cpu_s) / (time.monotonic() - began_s))


def _client(asking: Asking) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=asking.url,
        timeout=ANSWER_S,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
    )


async def _ask(client: httpx.AsyncClient, asking: Asking, number: int) -> Answer:
    seed = number % SEEDS
    # Half of each seed's requests: the parity of the round and not of the number.
    deadline_s = asking.deadline_s if (number // SEEDS + number) % 2 else None
    fields = {**asking.fields, "seed": seed}
    if deadline_s is not None:
        fields["deadline_ms"] = round(1000 * deadline_s)
    try:
        answer = await client.post("/v1/images/generations", json=fields)
    except httpx.TransportError as error:
        return Answer(None, False, deadline_s, repr(error))
    if answer.status_code != 200:
        return Answer(answer.status_code, False, deadline_s, answer.text[:300])
    return Answer(200, _digest(answer) == asking.right[seed], deadline_s)


def _digest(answer: httpx.Response) -> str:
    return hashlib.sha256(answer.json()["data"][0]["b64_json"].encode()).hexdigest()


def _go_first() -> None:
    if os.geteuid() == 0:
        os.nice(NICE)
