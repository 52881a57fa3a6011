"""Bounds what the requests in progress at one gateway hold of their bodies, all together."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import QueueFull

LONGEST_AT_ONCE = 20
"""So many bodies as long as `max_upload_bytes` fit at once: 1 GB by default."""

TRY_AGAIN_S = 2.0

_HOLD = "dit_serve.hold"


def holding(request: Request) -> Callable[[int], None]:
    """Counts bytes that a request holds beside its body; raises QueueFull as its body does."""
    hold: Callable[[int], None] = request.scope[_HOLD]
    return hold


class BodiesHeld:
    """Middleware.

    A request holds what was read of its body until it is answered: its job carries the pictures.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        """`most` is in bytes."""
        self._app = app
        self._most = most
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = 0

        def hold(size: int) -> None:
            """Raises QueueFull where there is no room for so many bytes."""
            nonlocal held
            if self._held + size > self._most:
                raise QueueFull(
                    f"requests in progress hold {self._held} bytes of {self._most} that their "
                    "bodies may have together; try again later",
                    retry_after_s=TRY_AGAIN_S,
                )
            self._held += size
            held += size

        async def counted() -> Message:
            message = await receive()
            hold(len(message.get("body", b"")))
            return message

        scope[_HOLD] = hold
        try:
            await self._app(scope, counted, send)
        finally:
            self._held -= held
