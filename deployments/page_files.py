"""Pages that lie as files in this package: read once, and answered with what they may do.

Names are looked up among what was read: no path of a request reaches the file system.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from fastapi import Request
from fastapi.responses import Response

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

STRICT_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
"""Own modules and styles, own origin, and no markup made of text."""


@dataclass(frozen=True)
class _File:
    body: bytes
    media_type: str
    etag: str


class PageFiles:
    """The files of one folder of this package."""

    def __init__(self, folder: str, policy: str = STRICT_POLICY) -> None:
        """`policy` is the Content-Security-Policy that goes with each file."""
        self._policy = policy
        self._files = {
            entry.name: _File(
                body=(body := entry.read_bytes()),
                media_type=MEDIA_TYPES[suffix],
                etag=f'"{hashlib.sha256(body).hexdigest()[:16]}"',
            )
            for entry in (files("deployments") / folder).iterdir()
            if (suffix := entry.name.rpartition(".")[2]) in MEDIA_TYPES
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._files))

    def answer(self, request: Request, name: str) -> Response | None:
        """The file of that name, or 304 where the caller has it; None where there is none."""
        file = self._files.get(name)
        if file is None:
            return None
        headers = {
            # Kept, but asked about each time: a page of one version never meets another's modules.
            "Cache-Control": "no-cache",
            "ETag": file.etag,
            "Content-Security-Policy": self._policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        # A proxy that compresses makes weak tags of ours.
        known = request.headers.get("if-none-match", "").split(",")
        if file.etag in {tag.strip().removeprefix("W/") for tag in known}:
            return Response(status_code=304, headers=headers)
        return Response(file.body, media_type=file.media_type, headers=headers)
