"""Which pages in a browser may use a server that asks for no key. Pure.

No browser sends a key of its own accord, so with keys a page of elsewhere can do nothing. Without
keys it could: a page that somebody on this machine has open may send forms to 127.0.0.1, and one
whose name is made to mean 127.0.0.1 (DNS rebinding) may read the answers too.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from cluster.auth import AuthConfig

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing; their answers are kept from other pages by the browser."""


def refused_page(
    method: str, host: str, origin: str | None, auth: AuthConfig, public_url: str | None
) -> str | None:
    """Why the page that sends such a request may not; None where it may, or where it is no page.

    `host` and `origin` are the headers of those names, `public_url` is the config's.
    """
    if auth.asks_for_keys:
        return None
    public = urlsplit(public_url or "").netloc.lower()
    asked = host.lower()
    if auth.loopback_only and not _is_of_this_machine(asked) and asked != public:
        return (
            f"Host: {host[:80]!r} is no name of this machine; without keys the server answers to "
            "localhost, to IP addresses, and to the name in public_url"
        )
    if method not in _READING and origin is not None:
        sender = urlsplit(origin.lower()).netloc if "://" in origin else ""
        if sender not in {asked, public} - {""}:
            return (
                f"Origin: a page of {origin[:80]!r} may not use this server, "
                "which takes requests of its own pages and of programs"
            )
    return None


def _is_of_this_machine(host: str) -> bool:
    """Whether a Host header names the machine itself, or an address that no DNS answer stands for.

    An empty one comes from no browser.
    """
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if not host or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
