"""What callers are told when the gateway that had their request dies.

Serve's proxy then ends the call without an answer, and uvicorn says 500 in words of its own, or
cuts a stream. The proxy lives on, so it can say honestly what happened.
"""

from __future__ import annotations

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import GatewayDied
from deployments.event_stream import error_event
from deployments.openai_api import error_response

_EVENTS = b"text/event-stream"


class EndsWithAnError:
    """Middleware of the proxy: a call that ends without an answer gets the envelope of an error.

    A stream of events that has begun gets it as its last event. A file that has begun is cut: its
    length is told already, and fewer bytes are no whole file.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        await self._app(scope, receive, answer.send)
        await answer.end()


class _Answer:
    """How far one answer has come."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = self._streams = self._whole = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            self._streams = any(
                name.lower() == b"content-type" and value.startswith(_EVENTS)
                for name, value in message["headers"]
            )
        elif message["type"] == "http.response.body":
            self._whole = not message.get("more_body", False)
        await self._send(message)

    async def end(self) -> None:
        """Says what happened, if the answer is not whole and may still be ended."""
        died = GatewayDied("the gateway that had this request ended; it may be sent again")
        if not self._begun:
            status, body, _ = error_response(died)
            text = json.dumps(body).encode()
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(text)).encode()),
            ]
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            await self._send({"type": "http.response.body", "body": text})
        elif self._streams and not self._whole:
            await self._send({"type": "http.response.body", "body": error_event(died)})
