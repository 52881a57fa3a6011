"""The studio's files, read once from the package, and the routes that serve them.

Names are looked up among what was read: no path of a request reaches the file system.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

PAGE = "index.html"

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@dataclass(frozen=True)
class StudioFile:
    """A file as it is answered; `etag` changes with its bytes."""

    body: bytes
    media_type: str
    etag: str


def studio_file(name: str) -> StudioFile | None:
    """The file of that name; None where the studio has none."""
    return _files().get(name)


def studio_names() -> tuple[str, ...]:
    """The names of all files, sorted."""
    return tuple(sorted(_files()))


def content_security_policy() -> str:
    """What the page may do: run its own modules, talk to its own origin, show what it was sent.

    The one inline script is named by its hash: it mends an address without a trailing slash, from
    which no relative address of another file would be right. Trusted types forbid to make markup
    of text at all.
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' {' '.join(_inline_script_hashes())}",
            "style-src 'self'",
            "img-src 'self' blob:",
            "media-src blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def studio_router() -> APIRouter:
    """`GET /`, the page, and `GET /studio/{name}`, its files; both answer 304 where they can."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/", _page, methods=["GET", "HEAD"])
    router.add_api_route("/studio/{name}", _part, methods=["GET", "HEAD"])
    return router


async def _page(request: Request) -> Response:
    """The studio."""
    return _answer(request, _files()[PAGE])


async def _part(request: Request, name: str) -> Response:
    """A file of the studio."""
    file = studio_file(name)
    if file is None or name == PAGE:
        raise HTTPException(404, "the studio has no such file")
    return _answer(request, file)


def _answer(request: Request, file: StudioFile) -> Response:
    headers = {
        # Kept, but asked about each time: a page of one version never meets modules of another.
        "Cache-Control": "no-cache",
        "ETag": file.etag,
        "Content-Security-Policy": content_security_policy(),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    if file.etag in _etags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.media_type, headers=headers)


def _etags(if_none_match: str) -> set[str]:
    """The tags in a header; a proxy that compresses makes weak ones of them."""
    return {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}


@cache
def _files() -> Mapping[str, StudioFile]:
    folder = files("deployments") / "studio"
    return {
        entry.name: StudioFile(
            body=(body := entry.read_bytes()),
            media_type=MEDIA_TYPES[suffix],
            etag=f'"{hashlib.sha256(body).hexdigest()[:16]}"',
        )
        for entry in folder.iterdir()
        if (suffix := entry.name.rpartition(".")[2]) in MEDIA_TYPES
    }


@cache
def _inline_script_hashes() -> tuple[str, ...]:
    scripts = _INLINE_SCRIPT.findall(_files()[PAGE].body)
    return tuple(
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in scripts
    )
