"""Who is let in: the caller of every route by the key that was sent, or by the peer's address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.access import WITHOUT_KEYS, Caller, caller_with, is_loopback, needed_scope
from cluster.errors import InsufficientScope, LoopbackOnly, Unauthorized
from cluster.key_limits import KeyLimits
from cluster.keys import ApiKey, recognised
from deployments.key_ring import KeyRing
from deployments.openai_api import error_response

Admission = Callable[[Request], Awaitable[None]]


def caller_of(request: Request) -> Caller:
    """Who sends a request that was admitted."""
    caller: Caller = request.state.caller
    return caller


def admission(ring: KeyRing | None, usual_limits: KeyLimits | None) -> Admission:
    """A dependency of every route, which runs before its body is read; None is no keys.

    `usual_limits` are those of a key that has none of its own.
    """

    async def admitted(request: Request) -> None:
        """Raises `Unauthorized`, `InsufficientScope` or `KeysUnavailable`."""
        scope = needed_scope(request.scope["route"].path)
        if ring is None:
            request.state.caller = WITHOUT_KEYS
        elif scope is not None:
            caller = caller_with(await _key(request, ring), usual_limits)
            if not caller.may(scope):
                raise InsufficientScope(
                    f"this key may not do that: it needs the scope {scope} or admin, and has "
                    f"{', '.join(sorted(caller.scopes))}"
                )
            request.state.caller = caller

    return admitted


class FromThisMachine:
    """Middleware that refuses peers on other machines, as Serve's proxy or a trusted one saw them.

    A proxy on this machine that does not tell whom it speaks for is such a peer itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        if scope["type"] == "lifespan" or is_loopback(peer[0] if peer else None):
            await self._app(scope, receive, send)
            return
        refusal = LoopbackOnly(
            "this server has no API keys (auth: none), so it answers only on its own machine; "
            "whoever runs it can give it keys, or say open_to_network: true"
        )
        status, body, headers = error_response(refusal)
        await JSONResponse(body, status, headers)(scope, receive, send)


async def _key(request: Request, ring: KeyRing) -> ApiKey:
    keys = await ring.keys()
    match request.headers.getlist("authorization"):
        case [sent]:
            kind, _, text = sent.partition(" ")
            key = recognised(text.strip(), keys, datetime.now(UTC))
            if key is not None and kind.lower() == "bearer":
                return key
    raise Unauthorized()
