"""The first span of a request: its HTTP request, or its call through a handle.

Requests that make something are traced; those that read are not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import DitServeError
from cluster.receipt import GenerateResult
from cluster.trace_attributes import of_receipt
from deployments.router_calls import JobEvent
from deployments.tracing import NOT_TRACED, Span, Tracer

TRACED = frozenset({"/v1/images/generations", "/v1/images/edits", "/v1/videos"})
"""Routes whose POST is traced."""

_KEY = "dit_serve.span"


def span_of(request: Request) -> Span:
    """The span of an HTTP request, which `RequestSpans` ends."""
    return cast(Span, request.scope.get(_KEY, NOT_TRACED))


class RequestSpans:
    """Middleware: a span from a request to the end of its answer's body.

    It continues the trace of a `traceparent` header.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", "")).removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or scope["method"] != "POST" or path not in TRACED:
            await self._app(scope, receive, send)
            return
        attributes = {
            "http.request.method": "POST",
            "http.route": path,
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
        }
        parent = Headers(scope=scope).get("traceparent")
        with self._tracer.begin(f"POST {path}", attributes, parent=parent, kind="server") as span:

            async def note_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.tell({"http.response.status_code": message["status"]})
                await send(message)

            scope[_KEY] = span
            await self._app(scope, receive, note_status)


async def traced(
    happening: AsyncGenerator[JobEvent, None], span: Span
) -> AsyncGenerator[JobEvent, None]:
    """The same events; the span is told what became of the job."""
    over = False
    async with aclosing(happening):
        try:
            async for event in happening:
                if isinstance(event, GenerateResult):
                    over = True
                    span.tell(of_receipt(event.receipt))
                yield event
        except DitServeError as error:
            span.failed(error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if not over:
                span.cancelled()
            raise
