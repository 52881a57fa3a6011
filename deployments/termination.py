"""How a replica's process ends: on SIGTERM when it has nothing under way, or broken, at once.

Ray's own handler is Python's, which the main thread of an actor runs only between two calls, and
then ends that thread and not the process: requests that are under way are never answered. So the
signal is caught below Python, by `faulthandler`, which can be told to from any thread and writes to
a pipe; what it writes is not looked at.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("ray.serve")

IDLE_S = 1.0
"""How long nothing must have come in: what is just being handed to a replica does not show."""


def end_process(reason: str) -> None:
    """Ends this replica at once: Serve starts a new one, and its jobs are sent again.

    A replica that lived on would answer the whole queue with errors.
    """
    logger.error("this replica ends: %s", reason)
    logging.shutdown()
    os._exit(1)


def on_sigterm(
    loop: asyncio.AbstractEventLoop, leave: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Has `leave` run on that loop when this process gets SIGTERM, and ends the process after it.

    To be called once in a process.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    faulthandler.register(signal.SIGTERM, file=writer, all_threads=False, chain=False)

    def wait() -> None:
        os.read(reader, 1)
        logger.warning("SIGTERM: this process ends when it has nothing under way")
        try:
            asyncio.run_coroutine_threadsafe(leave(), loop).result()
        except Exception:
            logger.exception("this process ends with work under way")
        finally:
            logging.shutdown()
            os._exit(0)

    threading.Thread(target=wait, name="sigterm", daemon=True).start()


class Underway:
    """Counts what is under way in this process, on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._count = 0
        self._ended_s = loop.time()

    @contextmanager
    def one(self) -> Iterator[None]:
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            self._ended_s = self._loop.time()

    async def idle(self) -> None:
        """Returns when nothing has been under way for `IDLE_S`."""
        while self._count or self._loop.time() - self._ended_s < IDLE_S:
            await asyncio.sleep(IDLE_S / 10)


class Counted:
    """ASGI middleware: each HTTP request is under way until its answer is out."""

    def __init__(self, app: ASGIApp, underway: Underway) -> None:
        self._app = app
        self._underway = underway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._underway.one():
            await self._app(scope, receive, send)
