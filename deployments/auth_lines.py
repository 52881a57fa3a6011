"""What the commands say of a config's keys: where they are, how to add one, and who is let in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from cluster.access import is_loopback
from cluster.config import ClusterConfig
from cluster.key_limits import in_words
from deployments.key_file import KeyFile

ALL_INTERFACES = "0.0.0.0"
"""Serve's own default for the host."""


def auth_lines(config: ClusterConfig, document: Mapping[str, Any], file: str) -> Iterator[str]:
    """Lines about `auth` in the Serve config `document`, which `file` holds.

    Raises:
        ConfigError: `keys_file` is on this machine and is no list of keys.
    """
    auth = config.auth
    if auth.asks_for_keys:
        place = "the database of database_url" if auth.keys_file is None else auth.keys_file
        yield (
            f"  auth: every call needs an API key of {place}; add one: "
            f"dit-serve keys add NAME --config {file}"
        )
        if auth.keys_file is not None:
            yield from _file_lines(auth.keys_file)
        if config.key_limits is not None:
            yield f"  key_limits: of every key without its own: {in_words(config.key_limits)}"
        return
    host = (document.get("http_options") or {}).get("host", ALL_INTERFACES)
    is_local = host == "localhost" or is_loopback(host)
    if auth.open_to_network:
        reach = "who reaches this machine" if is_local else f"whoever reaches {host}"
        yield f"  auth: WARNING: no keys and open_to_network: {reach} may use it and see all of it"
    elif not is_local:
        yield (
            f"  auth: WARNING: no keys, and http_options.host is {host}: other machines get 403, "
            "unless a proxy on this one speaks for them; use 127.0.0.1, or keys"
        )


def _file_lines(path: str) -> Iterator[str]:
    if not os.path.exists(path):
        yield f"  auth: {path} is not on this machine; it must be wherever a gateway may run"
    elif not KeyFile(path).read():
        yield f"  auth: {path} has no key yet"
