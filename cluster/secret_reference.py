"""A secret that the config does not hold but names: `env:NAME`, a variable of the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cluster.errors import ConfigError

_PREFIX = "env:"
_REFERENCE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_PASSWORD = re.compile(
    r"(?<!http)(?<!https)://[^@]*:[^@]*@|https?://[^@/]*:[^@/]*@|[?&](password|sslpassword)="
)


def variable_of(value: str) -> str | None:
    """The variable that `env:NAME` names; None where the value stands for itself.

    Raises:
        ValueError: it begins as a reference and is none.
    """
    if not value.startswith(_PREFIX):
        return None
    if reference := _REFERENCE.fullmatch(value):
        return reference[1]
    raise ValueError(
        "after env: stands the name of an environment variable, such as env:DATABASE_URL"
    )


def read_secret(value: str, key: str, environment: Mapping[str, str]) -> str:
    """The secret itself, from the environment where the value of the config's `key` is `env:NAME`.

    Raises:
        ConfigError: the variable is not set, or empty.
    """
    variable = variable_of(value)
    if variable is None:
        return value
    if secret := environment.get(variable):
        return secret
    raise ConfigError(
        f"{key}: the environment variable {variable} is not set in this process; "
        "set it for all nodes of the cluster, for instance from a Kubernetes secret"
    )


def holds_password(url: str) -> bool:
    """Whether a password stands in a URL: before its host, or as a parameter of libpq.

    But for HTTP the part before the host may hold slashes, as keys of S3 do.
    """
    return _PASSWORD.search(url) is not None
