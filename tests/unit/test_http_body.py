"""Bodies of requests: read as far as is allowed, and as long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.requests import Request

from cluster.errors import BodyTooSlow, InvalidRequest, RequestTooLarge
from deployments.http_body import read_body


def read(
    chunks: Callable[[], AsyncIterator[bytes]], declared: str | None = None, within_s: float = 10.0
) -> bytes:
    """At most ten bytes of a body that comes so."""
    coming = chunks()

    async def receive() -> Any:
        body = await anext(coming, b"")
        return {"type": "http.request", "body": body, "more_body": body != b""}

    headers = [] if declared is None else [(b"content-length", declared.encode())]
    scope = {"type": "http", "method": "POST", "headers": headers}
    return asyncio.run(read_body(Request(scope, receive), 10, within_s))


async def ten() -> AsyncIterator[bytes]:
    yield b"12345"
    yield b"67890"


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"12345"


async def stalled() -> AsyncIterator[bytes]:
    yield b"1"
    await asyncio.sleep(60)


async def dripping() -> AsyncIterator[bytes]:
    for _ in range(9):
        yield b"1"
        await asyncio.sleep(0.05)


async def never() -> AsyncIterator[bytes]:
    raise AssertionError
    yield b""


def test_a_body_as_long_as_is_allowed_comes_whole() -> None:
    for declared in (None, "10", "nonsense", "-1", "\u0664"):
        assert read(ten, declared) == b"1234567890"


def test_a_longer_one_is_refused_as_soon_as_it_is_known_to_be() -> None:
    with pytest.raises(RequestTooLarge, match="has 11 bytes; at most 10"):
        read(never, "11")
    for declared in (None, "1"):
        with pytest.raises(RequestTooLarge, match="more than 10 bytes"):
            read(endless, declared)


@pytest.mark.parametrize("chunks", [stalled, dripping])
def test_one_that_does_not_come_to_its_end_is_given_up(
    chunks: Callable[[], AsyncIterator[bytes]],
) -> None:
    with pytest.raises(BodyTooSlow, match=r"not whole after 0\.2 seconds") as refused:
        read(chunks, within_s=0.2)
    assert refused.value.http_status == 408


def test_a_caller_that_leaves_meanwhile_is_no_fault_of_the_server() -> None:
    messages = iter(
        [{"type": "http.request", "body": b"1", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> Any:
        return next(messages)

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(InvalidRequest, match="ended before the body was whole"):
        asyncio.run(read_body(request, 10))
