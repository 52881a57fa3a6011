"""What lives in a Ray cluster: `python -m benchmarks.ray_state ADDRESS` prints it as JSON.

A process of its own, since one process can be in one cluster only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

MOST = 10_000
TIMEOUT_S = 60


def living(address: str) -> dict[str, int]:
    """How many actors of each class live, and how many placement groups."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ray_state", address],
        env=os.environ | {"RAY_AUTH_MODE": "token"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=2 * TIMEOUT_S,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _main() -> None:
    import ray
    from ray.util.state import list_actors, list_placement_groups

    address = sys.argv[1]
    ray.init(address, log_to_driver=False, logging_level="ERROR")
    # Without its address they would ask the cluster that was started last on this machine.
    of_it: dict[str, Any] = {"address": address, "limit": MOST, "timeout": TIMEOUT_S}
    actors = list_actors(filters=[("state", "=", "ALIVE")], **of_it)
    groups = list_placement_groups(filters=[("state", "!=", "REMOVED")], **of_it)
    found = Counter(f"actor {actor.class_name}" for actor in actors)
    print(json.dumps(found | {"placement groups": len(groups)}))


if __name__ == "__main__":
    _main()
