"""Bounds on what Serve's HTTP proxy reads before anything of ours sees a request.

The proxy is uvicorn, which reads a header without end, waits for one without end, and asks for no
key before it has. Serve calls `bounded` in each proxy that has `VARIABLES` in its environment.
"""

from __future__ import annotations

import asyncio

from starlette.middleware import Middleware
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deployments.gateway_death import EndsWithAnError

VARIABLES = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "deployments.proxy_bounds.bounded"}
"""The hook that Serve has for those who start it."""

HEAD_BYTES_MAX = 65_536
"""Of a request line and headers, and of anything else that is no body, such as trailers."""

HEAD_S = 30.0
"""How long a connection may take from its beginning, or from its last answer, to whole headers."""

_HINTS_TO_THE_PROXY = frozenset({b"x-request-disconnect-disabled", b"x-request-timeout-seconds"})
"""With them whoever sends a request could have it go on after hanging up."""


def bounded() -> list[Middleware]:
    """Has uvicorn take `BoundedProtocol`, in this process; the middleware that Serve is to add."""
    auto.AutoHTTPProtocol = BoundedProtocol
    return [Middleware(EndsWithAnError)]


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What exceeds the bounds is answered with 400 or, if it is late, closed."""

    _since_progress = 0
    _reading_head = True
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._since_progress += len(data)
        super().data_received(data)
        if self._since_progress > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response(f"The headers have more than {HEAD_BYTES_MAX} bytes.")
        elif self._since_progress and self._reading_head and self._patience is None:
            self._wait_for_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() not in _HINTS_TO_THE_PROXY:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._since_progress = 0
        self._reading_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._since_progress = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._since_progress = 0
        self._reading_head = True
        super().on_message_complete()

    def _wait_for_head(self) -> None:
        self._patience = self.loop.call_later(HEAD_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
