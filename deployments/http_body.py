"""Reads a request's body, and no more of it than is allowed."""

from starlette.requests import Request

from cluster.errors import RequestTooLarge


async def read_body(request: Request, most: int) -> bytes:
    """The body; raises `RequestTooLarge` as soon as it is known to be longer than `most` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise RequestTooLarge(f"the body has {declared} bytes; at most {most} are taken")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise RequestTooLarge(
                f"the body has more than {most} bytes, which is the most that is taken"
            )
    return bytes(body)
