"""What browsers are told with every answer, and which of their pages are turned away."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.config import ClusterConfig
from cluster.errors import CrossOrigin
from cluster.web_origin import refused_page
from deployments.openai_api import error_response

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

UNLESS_SAID = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Of answers that are no page and nobody's to keep; a route that knows better says so."""


class BrowserWall:
    """The outermost layer, so that no answer goes without its headers.

    None of them opens anything: there is no `Access-Control-Allow-Origin`, and a preflight is
    refused as the method that it is.
    """

    def __init__(self, app: ASGIApp, config: ClusterConfig) -> None:
        self._app = app
        self._auth = config.auth
        self._public_url = config.public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(ALWAYS)
                for name, value in UNLESS_SAID.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        problem = refused_page(
            scope["method"],
            headers.get("host", ""),
            headers.get("origin"),
            self._auth,
            self._public_url,
        )
        if problem is None:
            await self._app(scope, receive, with_headers)
        else:
            status, body, more = error_response(CrossOrigin(problem))
            await JSONResponse(body, status, more)(scope, receive, with_headers)
