"""Work apart from any request: Serve ties what a request's context calls to that request."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Subject = TypeVar("Subject")


class Apart:
    """Begins tasks in a context of their own, and holds them until they end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def unless(
        self,
        done: asyncio.Future[Any],
        delay_s: float,
        action: Callable[[Subject], None],
        of: Subject,
    ) -> None:
        """Does `action(of)` after a while, unless that future is done before."""
        timer = self._loop.call_later(delay_s, action, of)
        done.add_done_callback(lambda _: timer.cancel())
