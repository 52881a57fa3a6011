"""Upgrades under a steady load: what is replaced, what is lost, how long a pool stands still.

`python -m benchmarks.upgrades` writes the table of docs/reliability.md. Exit code 1 where a request
was not answered, or a process ended that had no reason to. What it does is in
`tests/serve/upgrades.py`; `tests/serve/test_upgrade.py` does the short version.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.evidence import in_words, where, write_part
from tests.serve.upgrades import (
    Change,
    SteadyLoad,
    another_pool,
    changed,
    deployed,
    misspelt,
    other_tiers,
    refused,
    terminated,
    upgradable,
)

CALLERS = 4
HEAD = (
    "| change | took | answers, of them second attempts | not answered | kept | without a replica "
    "| longest pause |",
    "|---|--:|--:|--:|---|---|--:|",
)
KEPT = {
    "other settings of a tier of `quick`": {"pool-shapes-careful"},
    "one pool more": {"pool-shapes-careful", "pool-shapes-quick"},
}
"""The deployments that have no reason to end, by change; a refused config leaves all of them."""


def main() -> int:
    about = "Changes what a real cluster serves while four callers ask without a pause; 4 minutes."
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upgrades", description=about)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="upgrades-") as folder:
        changes = _changes(Path(folder))
    lines = [*HEAD, *(_row(change) for change in changes)]
    print("\n".join(lines))
    if faults := [fault for change in changes for fault in _faults(change)]:
        print("\n".join(faults), file=sys.stderr)
        return 1
    if not options.dry:
        write_part("upgrades", "\n".join([in_words(where()), "", *lines]))
    return 0


def _changes(folder: Path) -> list[Change]:
    with upgradable(folder) as (up, old), SteadyLoad(up.server, CALLERS) as load:
        tiers = changed(old, other_tiers)
        pools = changed(tiers, another_pool)
        environment = {"env_vars": {"AN_UPGRADE": "1"}}
        return [
            deployed(up, load, "other settings of a tier of `quick`", tiers),
            deployed(up, load, "one pool more", pools),
            refused(up, load, "a config with a misspelt key", changed(pools, misspelt)),
            deployed(up, load, "the good config again", pools),
            deployed(up, load, "another environment", pools, runtime_env=environment),
            terminated(up, load, "gateway", comes_back=False),
            terminated(up, load, "router-shapes", comes_back=True),
            terminated(up, load, "pool-shapes-careful", comes_back=True),
        ]


def _row(change: Change) -> str:
    again = sum(each.attempts > 1 for each in change.answers)
    kept = [f"{name} {change.kept[name]} of {change.now[name]}" for name in sorted(change.now)]
    without = [f"{pool} {seconds:.1f} s" for pool, seconds in sorted(change.without_s.items())]
    cells = (
        change.name,
        f"{change.took_s:.0f} s",
        f"{len(change.answers)}, {again}",
        str(len(change.faults)),
        ", ".join(kept),
        ", ".join(without) or "none",
        f"{max(change.pause_s.values()):.1f} s",
    )
    return f"| {' | '.join(cells)} |"


def _faults(change: Change) -> Sequence[str]:
    refused = "misspelt" in change.name or "again" in change.name
    stay = set(change.now) if refused else KEPT.get(change.name, set())
    ended = [name for name in sorted(stay) if change.kept[name] < change.now[name]]
    return [f"{change.name}: {fault}" for fault in (*change.faults, *ended)]


if __name__ == "__main__":
    sys.exit(main())
