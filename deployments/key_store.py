"""Where a config keeps its keys, and new keys with a secret that nobody can guess."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from pydantic import ValidationError

from cluster.config import ClusterConfig
from cluster.errors import ConfigError
from cluster.keys import (
    ID_CHARS,
    ID_LENGTH,
    SECRET_BYTES,
    ApiKey,
    Scope,
    digest,
    key_text,
)
from cluster.sections import fault_lines
from deployments.key_file import KeyFile
from deployments.key_table import KeyTable


class KeyStore(Protocol):
    """Keys by their ids. It blocks; a `DitServeError` says why it cannot do what is asked."""

    @property
    def place(self) -> str:
        """Where the keys are, for people; it tells no password."""

    def read(self) -> Mapping[str, ApiKey]: ...

    def add(self, key: ApiKey) -> None: ...

    def revoke(self, key_id: str, now: datetime) -> None: ...


def key_store(config: ClusterConfig) -> KeyStore | None:
    """Where the keys of a config are; None where it asks for none.

    Raises:
        ConfigError: the URL of the database is none, or its variable is not set.
    """
    if not config.auth.asks_for_keys:
        return None
    if config.auth.keys_file is not None:
        return KeyFile(config.auth.keys_file)
    return KeyTable(config.database_url)


def new_key(
    name: str,
    scopes: Sequence[Scope],
    created: datetime,
    expires: datetime | None,
    limits: Mapping[str, Any] | None = None,
) -> tuple[str, ApiKey]:
    """The text of a new key, which is kept nowhere, and what is kept of it.

    Raises:
        ConfigError: the name is too long, empty, or cannot be printed, or a limit is none.
    """
    key_id = "".join(secrets.choice(ID_CHARS) for _ in range(ID_LENGTH))
    text = key_text(key_id, secrets.token_urlsafe(SECRET_BYTES))
    try:
        key = ApiKey.model_validate(
            {
                "id": key_id,
                "name": name,
                "scopes": tuple(scopes),
                "sha256": digest(text),
                "created": created,
                "expires": expires,
                "limits": limits,
            }
        )
    except ValidationError as error:
        raise ConfigError("\n".join(fault_lines(error))) from None
    return text, key
