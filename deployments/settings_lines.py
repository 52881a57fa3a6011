"""The cache settings of a pool in lines: key, value, and where it comes from.

Lines, not a table of the terminal's width, so that a pipe gets each whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cluster.provenance import DEFAULT, PoolSettings, Setting


def settings_lines(pools: Sequence[PoolSettings], verbose: bool) -> Iterator[str]:
    """For each pool, the settings that somebody chose and a line for the rest; verbose: all."""
    for pool in pools:
        for setting in pool.chosen:
            yield f"  {pool.name}: {setting.key}: {_shown(setting.value)}  {setting.origin}"
        rows = pool.settings if verbose else pool.stated
        if rows:
            yield f"  {pool.name}: cache_config of {pool.path}"
            yield from _aligned(rows)
        if not verbose:
            yield f"    others: {DEFAULT}s" if rows else f"  {pool.name}: cache_config: {DEFAULT}s"


def _aligned(rows: Sequence[Setting]) -> Iterator[str]:
    cells = [("key", "value", "from")]
    cells += [(row.key, _shown(row.value), row.origin) for row in rows]
    keys, values = (max(len(row[column]) for row in cells) for column in (0, 1))
    for key, value, origin in cells:
        yield f"    {key:<{keys}}  {value:<{values}}  {origin}"


def _shown(value: Any) -> str:
    """The value as YAML would have it."""
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_shown(part) for part in value)}]"
    return str(value)
