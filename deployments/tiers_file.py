"""The files of tiers tables that a config names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cluster.config import ClusterConfig, ModelConfig
from cluster.errors import ConfigError
from cluster.measured_tiers import TiersTable, why_stale
from deployments.library_versions import library_versions


def read_tiers_table(model: ModelConfig, where: str) -> TiersTable | None:
    """The table that a model's config names, by a path from where the server is started.

    `where` begins each line of an error.

    Raises:
        ConfigError: it names one that cannot be read, or is none.
    """
    if model.tiers_table is None:
        return None
    source = f"{where}: tiers_table of {model.name}: {model.tiers_table}"
    try:
        text = Path(model.tiers_table).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: cannot be read: {error}") from error
    return TiersTable.from_json(text, source)


def table_lines(config: ClusterConfig, where: str) -> Iterator[str]:
    """One line per pool whose model has a table: whether it fits the settings and libraries here.

    The card is not compared: only a replica knows it. Raises as `read_tiers_table` does.
    """
    versions = library_versions()
    for model in config.models:
        table = read_tiers_table(model, where)
        if table is None:
            continue
        for pool in model.pools:
            rows = len(table.rows_of(model.name, pool.name))
            stale = why_stale(table, model, pool, versions)
            fits = f"{rows} rows, measured {table.made_at} on {table.platform.device}"
            told = fits if stale is None else f"will not be used: {stale}"
            yield f"  {model.name}/{pool.name}: tiers_table {model.tiers_table}: {told}"
