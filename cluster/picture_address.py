"""From where pictures may be fetched that a request names by their addresses. Pure.

The config's `picture_hosts` lists origins. An address is taken apart by one strict pattern, so that
no two readers of it can disagree about its host; it has no user, and its host is matched whole.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Any

from cluster.errors import InvalidRequest
from cluster.sections import shown

ADDRESS_CHARS_MAX = 2048

LABEL_CHARS_MAX = 63
"""Of a name between two dots: RFC 1035, 2.3.4."""

_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>/[!-~]*)?",
    re.IGNORECASE | re.ASCII,
)
_USUAL_PORTS = {"http": 80, "https": 443}


def host_origin(text: str) -> str:
    """An entry of `picture_hosts` in its one spelling: lower case, without the usual port.

    Raises:
        ValueError: it is no origin.
    """
    found = _ADDRESS.fullmatch(text)
    if (
        found is None
        or found["rest"] not in (None, "/")
        or not 0 < int(found["port"] or 1) < 65536
        or not _is_host(found["host"])
    ):
        raise ValueError(f"{shown(text)!r} is no origin such as https://pictures.example.com")
    return _origin(found)


def picture_address(value: Any, field: str, hosts: Collection[str]) -> str | None:
    """The address in `{"image_url": ADDRESS}`; None where the value is no mapping with that key.

    `hosts` are origins in their one spelling.

    Raises:
        InvalidRequest: `field` is at fault: it is no address, or not one of those hosts has it.
    """
    if not isinstance(value, Mapping) or "image_url" not in value:
        return None
    address = value["image_url"]
    if len(value) > 1:
        raise InvalidRequest(f"{field}: has other keys beside image_url", param=field)
    if not isinstance(address, str) or len(address) > ADDRESS_CHARS_MAX:
        raise InvalidRequest(
            f"{field}: image_url must be text of at most {ADDRESS_CHARS_MAX} characters",
            param=field,
        )
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise InvalidRequest(
            f"{field}: image_url must be an http or https address, not {shown(address)!r}",
            param=field,
        )
    if (origin := _origin(found)) not in hosts:
        raise InvalidRequest(
            f"{field}: this server fetches no pictures from {shown(origin)}, which is not among "
            "the picture_hosts of its config; send the file in a form",
            param=field,
        )
    return address


def _is_host(host: str) -> bool:
    """Whether it is an IP address or may be a name; others no client can be asked to reach."""
    try:
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1])
            return True
        if host.replace(".", "").isdigit():
            ipaddress.IPv4Address(host)
            return True
    except ValueError:
        return False
    return all(0 < len(label) <= LABEL_CHARS_MAX for label in host.split("."))


def _origin(found: re.Match[str]) -> str:
    scheme, port = found["scheme"].lower(), int(found["port"] or 0)
    usual = port in (0, _USUAL_PORTS[scheme])
    return f"{scheme}://{found['host'].lower()}" + ("" if usual else f":{port}")
