"""Reads a request's body: no more of it than is allowed, and not for ever."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from cluster.errors import BodyTooSlow, InvalidRequest, RequestTooLarge

READ_S = 120.0
"""How long a body may take: 50 MB at 3.4 Mbit/s. A caller who stalls holds a gateway's place."""


async def read_body(request: Request, most: int, within_s: float = READ_S) -> bytes:
    """The body, of at most `most` bytes.

    Raises:
        RequestTooLarge: as soon as it is known to be longer.
        BodyTooSlow: it is not whole after `within_s` seconds.
        InvalidRequest: the caller left before it was whole, and hears nothing of this.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise RequestTooLarge(f"the body has {declared} bytes; at most {most} are taken")
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise RequestTooLarge(
                        f"the body has more than {most} bytes, which is the most that is taken"
                    )
    except TimeoutError as error:
        raise BodyTooSlow(f"the body was not whole after {within_s:g} seconds") from error
    except ClientDisconnect as error:
        raise InvalidRequest("the connection ended before the body was whole") from error
    return bytes(body)
