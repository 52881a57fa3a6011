"""A real uvicorn with Serve's protocol in bounds: what is sent to it, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.config import Config
from uvicorn.protocols.http import auto

from deployments import proxy_bounds
from deployments.gateway_death import EndsWithAnError
from deployments.proxy_bounds import HEAD_BYTES_MAX, BoundedProtocol, bounded

GIVE_UP_S = 20.0
HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


async def told_length(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body and the names of the headers."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    names = " ".join(name.decode() for name, _ in scope["headers"])
    body = f"{length} {names}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server = uvicorn.Server(
        Config(told_length, port=0, http=BoundedProtocol, lifespan="off", log_config=None)
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


def with_connection(
    work: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]],
) -> Any:
    async def bounded_work() -> Any:
        async with asyncio.timeout(GIVE_UP_S), connection() as (reader, writer):
            return await work(reader, writer)

    return asyncio.run(bounded_work())


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


async def sent_until_refused(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, start: bytes, piece: bytes
) -> int:
    """How many bytes went out before the answer came, which must be 400."""
    writer.write(start)
    sent = len(start)
    answered = asyncio.ensure_future(answer(reader))
    while not answered.done():
        writer.write(piece)
        sent += len(piece)
        await asyncio.sleep(0.001)
    assert (await answered)[0] == 400
    assert await reader.read() == b""
    return sent


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD + b"X: ", b"a" * 5000),
        (HEAD, b"X: a\r\n" * 500),
        (b"GET /", b"a" * 5000),
        (CHUNKED + b"1\r\na\r\n0\r\n", b"X: a\r\n" * 500),
        (CHUNKED + b"1;", b"a" * 5000),
    ],
    ids=["one header", "many headers", "address", "trailers", "chunk extension"],
)
def test_a_head_without_end_is_refused_soon(start: bytes, piece: bytes) -> None:
    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        return await sent_until_refused(reader, writer, start, piece)

    assert HEAD_BYTES_MAX < with_connection(work) < 20 * HEAD_BYTES_MAX


def test_a_long_body_is_no_long_head_and_the_connection_serves_the_next_request() -> None:
    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[Any]:
        answers = []
        for _ in range(2):
            writer.write(HEAD + b"Content-Length: 5000000\r\n\r\n" + b"a" * 5_000_000)
            answers.append(await answer(reader))
            chunks = b"2710\r\n" + b"a" * 10_000 + b"\r\n"
            writer.write(CHUNKED + chunks * 20 + b"0\r\n\r\n")
            answers.append(await answer(reader))
        return answers

    assert [(status, int(body.split()[0])) for status, body in with_connection(work)] == [
        (200, 5_000_000),
        (200, 200_000),
    ] * 2


def test_headers_up_to_the_bound_are_taken() -> None:
    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        writer.write(HEAD + b"X: " + b"a" * (HEAD_BYTES_MAX - 100) + b"\r\n\r\n")
        return await answer(reader)

    assert with_connection(work) == (200, b"0 host x")


@pytest.mark.parametrize("start", [b"", b"G", HEAD, HEAD + b"X: a"])
def test_a_head_that_does_not_come_in_time_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(proxy_bounds, "HEAD_S", 0.2)

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(start)
        return await reader.read()

    assert with_connection(work) == b""


def test_so_does_one_after_an_answer_and_a_body_may_take_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy_bounds, "HEAD_S", 0.2)

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(HEAD + b"Content-Length: 2\r\n\r\na")
        await asyncio.sleep(0.5)
        writer.write(b"b")
        assert await answer(reader) == (200, b"2 host content-length")
        writer.write(b"\r\nGET / ")
        return await reader.read()

    assert with_connection(work) == b""


def test_callers_give_no_hints_that_are_for_the_proxy() -> None:
    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        hints = b"X-Request-Disconnect-Disabled: ?1\r\nx-request-timeout-seconds: \xff\r\n"
        writer.write(HEAD + hints + b"X-Request-Id: a\r\n\r\n")
        return await answer(reader)

    assert with_connection(work) == (200, b"0 host x-request-id")


def test_serve_is_given_the_middleware_and_uvicorn_takes_the_bounded_protocol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    assert [each.cls for each in bounded()] == [EndsWithAnError]
    config = Config(told_length)
    config.load()
    assert config.http_protocol_class is BoundedProtocol
