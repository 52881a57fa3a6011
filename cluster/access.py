"""Who a caller is, and what that caller may do and see.

The routes are named as the application names them, so that no spelling of a path makes one open.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from cluster.key_limits import KeyLimits
from cluster.keys import ApiKey, Scope

OPEN = frozenset({"/", "/studio/{name}", "/docs", "/docs/{name}", "/health", "/ready"})
"""Routes that ask for no key: pages without data, and whether the server runs."""

METRICS = "/metrics"


@dataclass(frozen=True)
class Caller:
    """`key_id` is the public id of the caller's key, empty where there are no keys.

    `limits` are those of the key now; None where it has none.
    """

    key_id: str
    scopes: frozenset[Scope]
    limits: KeyLimits | None = None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or self.is_admin

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    @property
    def sees(self) -> str | None:
        """Whose videos the caller sees; None for everybody's."""
        return None if self.is_admin else self.key_id

    def may_read(self, owner: str) -> bool:
        """Whether the caller sees what the key with the id `owner` made."""
        return self.sees in (None, owner)


WITHOUT_KEYS = Caller("", frozenset(Scope))
"""Everybody, where there are no keys."""


def caller_with(key: ApiKey, usual: KeyLimits | None) -> Caller:
    """`usual` are the limits of a key that has none of its own."""
    limits = usual if key.limits is None else key.limits
    return Caller(key.id, frozenset(key.scopes), limits)


def needed_scope(route: str) -> Scope | None:
    """What a key needs for a route; None where none is asked for. A new route is closed."""
    if route in OPEN:
        return None
    return Scope.METRICS if route == METRICS else Scope.GENERATE


def is_loopback(host: str | None) -> bool:
    """Whether an address is of this machine; also where IPv6 carries an IPv4 one."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
