"""What a promised deadline is worth in the simulator: who is refused, and who is late anyway."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.router_sheet import Sheet
from cluster.simulator.fleet import equal_replicas
from cluster.simulator.policies import OURS
from cluster.simulator.study import run_policy
from cluster.simulator.trace_names import parse_trace_name

REPLICAS = 8
SEEDS = 5
REQUESTS = 5_000
TRACES = (
    "poisson:C:load=0.9",
    "poisson:C:load=1.1",
    "poisson:C:load=1.3",
    "poisson:bimodal:load=1.1",
    "poisson:C:load=1.8,tier=auto",
    "poisson:C:load=2.5,tier=auto",
    "poisson:C:load=2.5,tier=auto,noise=0.2",
)
"""All with `late=refuse`."""


def measure() -> dict[str, Any]:
    """Each trace on all seeds."""
    fleet = equal_replicas(REPLICAS)
    runs = [
        {"trace": text, "seed": seed, "refused": found.refused, "misses": found.misses}
        for text in TRACES
        for trace in [parse_trace_name(f"{text},late=refuse").trace(REQUESTS, fleet.capacity)]
        for seed in range(SEEDS)
        for found in [run_policy(text, trace, fleet, OURS, seed)]
    ]
    return {"replicas": REPLICAS, "requests": REQUESTS, "seeds": SEEDS, "runs": runs}


def sheets(found: Mapping[str, Any]) -> list[Sheet]:
    """A row for each trace."""
    rows = []
    for text in TRACES:
        runs = [run for run in found["runs"] if run["trace"] == text]
        refused = [100 * run["refused"] / found["requests"] for run in runs]
        broken = [
            100 * (run["misses"] - run["refused"]) / (found["requests"] - run["refused"])
            for run in runs
        ]
        rows.append((f"`{text}`", _over_seeds(refused), _over_seeds(broken)))
    headings = ("trace", "refused, % of all", "late, % of those admitted")
    caption = (
        f"Every deadline a promise or a refusal: {found['replicas']} replicas, "
        f"{found['requests']:,} requests, median [least to most] of {found['seeds']} seeds."
    )
    return [Sheet("Promises", headings, rows, caption)]


def _over_seeds(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} [{min(values):.1f} to {max(values):.1f}]"
