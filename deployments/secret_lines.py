"""What `dit-serve check` says of the database's URL, in which a password may stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cluster.config import ClusterConfig
from cluster.secret_reference import holds_password, variable_of


def database_lines(config: ClusterConfig, stated: Mapping[str, str]) -> Iterator[str]:
    """A line where the URL is a secret; `stated` are the file's own `runtime_env.env_vars`."""
    variable = variable_of(config.database_url)
    if variable is None:
        if _is_secret(config.database_url):
            yield (
                "  database_url: its password stands in the file in plain text; on a cluster write "
                "database_url: env:DATABASE_URL, and set that variable where the gateways run"
            )
    elif variable not in stated:
        yield (
            f"  database_url: {config.database_url}: the variable {variable} must be set on the "
            "cluster, on every node where a gateway may run"
        )
    elif _is_secret(stated[variable]):
        yield (
            f"  database_url: {config.database_url}: {variable} stands in runtime_env.env_vars, "
            "and its password in plain text; set it on the cluster instead"
        )


def _is_secret(url: str) -> bool:
    """SQLite has no passwords; in its URLs stand file names."""
    return not url.startswith("sqlite") and holds_password(url)
