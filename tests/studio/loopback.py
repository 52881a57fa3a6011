"""ASGI applications on a port of this machine, and a proxy that puts a server behind a prefix."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

START_S = 10.0
STOP_S = 3
METHODS = ["GET", "HEAD", "POST", "DELETE"]
HOP_BY_HOP = {"connection", "content-length", "transfer-encoding"}


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The application's address while it listens, in a thread of its own."""
    config = uvicorn.Config(
        app, "127.0.0.1", 0, log_level="critical", ws="none", timeout_graceful_shutdown=STOP_S
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    give_up = time.monotonic() + START_S
    while not server.started:
        assert thread.is_alive(), "the server ended at its start"
        assert time.monotonic() < give_up, "the server does not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def behind_prefix(target: str, prefix: str) -> Iterator[str]:
    """The address of a proxy that shows a server below `prefix`, and takes that away on the way.

    It passes on the `Host` that the browser sent, as docs/studio.md asks of proxies.
    """
    client = httpx.AsyncClient(base_url=target, timeout=60, verify=False)

    @asynccontextmanager
    async def while_running(app: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    async def passed_on(request: Request) -> Response:
        path = request.url.path.removeprefix(prefix) or "/"
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
        call = client.build_request(
            request.method,
            f"{path}?{request.url.query}",
            headers=headers,
            content=await request.body(),
        )
        answer = await client.send(call, stream=True)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for piece in answer.aiter_raw():
                    yield piece
            finally:
                await answer.aclose()

        kept = {name: value for name, value in answer.headers.items() if name not in HOP_BY_HOP}
        return StreamingResponse(body(), answer.status_code, kept)

    routes = [Route(path, passed_on, methods=METHODS) for path in (prefix, prefix + "/{path:path}")]
    with listening(Starlette(routes=routes, lifespan=while_running)) as url:
        yield url + prefix
