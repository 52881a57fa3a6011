"""Stored results as HTTP answers: whole or in part, with the type that their bytes have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from cluster.byte_ranges import ByteRange, Unsatisfiable, byte_range
from cluster.errors import NotFound
from deployments.openai_api import envelope
from deployments.results import HEAD_BYTES, ResultStore, content_type
from deployments.shelves import Shelf

_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "video/mp4": "mp4"}


async def content_response(
    request: Request, results: ResultStore, shelf: Shelf, result_id: str
) -> Response:
    """The bytes of a result, or those that the `Range` header asks for.

    Raises:
        NotFound: there is no such result, or not any more.
        ResultsUnavailable: the store does not answer.
    """
    missing = no_such_result(result_id)
    if not shelf.ids.fullmatch(result_id):
        raise missing
    key = shelf.key(result_id)
    head = await asyncio.to_thread(results.read, key, 0, HEAD_BYTES)
    size = await asyncio.to_thread(results.size, key)
    if head is None or size is None:
        raise missing
    kind = content_type(head)
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600, immutable",
        # Opened by itself in a browser, a clip is a page that plays its own address.
        "Content-Security-Policy": "frame-ancestors 'none'",
        "Content-Disposition": f'inline; filename="{result_id}.{_SUFFIXES.get(kind, "bin")}"',
        "ETag": f'"{result_id}"',
        "X-Content-Type-Options": "nosniff",
    }
    if _is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    wanted = _wanted(request, headers["ETag"], size)
    match wanted:
        case Unsatisfiable():
            return _unsatisfiable(wanted.content_range(size))
        case ByteRange():
            headers["Content-Range"] = wanted.content_range(size)
            status, start, length = 206, wanted.start, wanted.length
        case None:
            status, start, length = 200, 0, size
    headers |= {"Content-Length": str(length), "Content-Type": kind}
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    chunks: Iterator[bytes] | None = await asyncio.to_thread(results.chunks, key, start, length)
    if chunks is None:
        raise missing
    return StreamingResponse(chunks, status, headers)


def no_such_result(result_id: str) -> NotFound:
    """What is said of a result that is not there, and of one that is somebody else's."""
    return NotFound(f"{result_id[:80]!r}: no such result, or it has expired")


def _is_known(request: Request, tag: str) -> bool:
    """Whether the caller has this result already (RFC 9110, section 13.1.2)."""
    known = {each.strip() for each in request.headers.get("if-none-match", "").split(",")}
    return not known.isdisjoint({tag, f"W/{tag}", "*"})


def _wanted(request: Request, tag: str, size: int) -> ByteRange | Unsatisfiable | None:
    """The part that is asked for; a range counts only for GET, and under `If-Range`."""
    if request.method != "GET" or request.headers.get("if-range", tag) != tag:
        return None
    return byte_range(request.headers.get("range"), size)


def _unsatisfiable(content_range: str) -> Response:
    message = f"Range: there are no such bytes ({content_range.removeprefix('bytes */')} in all)"
    body = envelope(message, "invalid_request_error", "Range", "range_not_satisfiable")
    return JSONResponse(body, 416, {"Content-Range": content_range})
