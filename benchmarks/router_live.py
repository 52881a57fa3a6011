"""One trace on real Ray Serve and in the simulator: our router beside Serve's own routing."""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import machine
from benchmarks.measures import shuffled_rounds
from benchmarks.router_serving import Serving, own_ray
from benchmarks.router_sheet import Sheet
from benchmarks.router_trace import POOL, ScaledTrace, fleet, one_pool
from cluster.simulator.mixes import Kind
from cluster.simulator.results import RunResult, Tally
from cluster.simulator.study import run_policy
from cluster.simulator.table_costs import TableCosts
from cluster.simulator.traces import MODEL, simulated_job
from cluster.tiers import AUTO

REPLICAS = 8
AS_ASKED = ("ours", "fifo", "power-of-two")
WITH_RULES = (
    "ours",
    *(
        f"{order}+{rule}"
        for order in ("fifo", "power-of-two")
        for rule in ("fits", "fast", "ultra")
    ),
)
POLICIES: Mapping[str, Sequence[str]] = {
    "poisson:C:load=0.9": AS_ASKED,
    "poisson:bimodal:load=0.9": AS_ASKED,
    "poisson:C:load=1.8,tier=auto": WITH_RULES,
}
"""The policies that meet each trace, by the names that the simulator has for them."""

LABELS = {
    "ours": "dit-serve",
    "fifo": "Serve, one request a replica",
    "power-of-two": "Serve, a line at each replica",
}
ORDER_SEED = 0


@dataclass(frozen=True)
class LiveRun:
    """A policy on the trace of one seed, as it was and as the simulator tells it."""

    real: RunResult
    simulated: RunResult
    load_average: float


def measure(requests: int, rounds: int, scale: float) -> dict[str, Any]:
    """In every round, which has a seed of its own, all policies in shuffled order."""
    traces = {text: ScaledTrace(text, scale, REPLICAS, requests) for text in POLICIES}
    runs = asyncio.run(_runs(traces, rounds, scale))
    return {
        "replicas": REPLICAS,
        "requests": requests,
        "rounds": rounds,
        "scale": scale,
        "runs": [
            {
                name: _counted(result)
                for name, result in (("real", run.real), ("simulated", run.simulated))
            }
            | {"load_average": run.load_average}
            for run in runs
        ],
    }


async def _runs(traces: Mapping[str, ScaledTrace], rounds: int, scale: float) -> list[LiveRun]:
    kinds = _kinds(traces)
    model = one_pool(MODEL, REPLICAS)
    pairs = [(text, policy) for text, policies in POLICIES.items() for policy in policies]
    runs = []
    with own_ray():
        serving = Serving(model, TableCosts(kinds, {POOL: 1.0}), scale)
        await serving.warm_up(
            [simulated_job(0, kind, AUTO, None, None, "accept", "") for kind in kinds]
        )
        for seed, order in enumerate(shuffled_rounds(pairs, rounds, ORDER_SEED)):
            for text, policy in order:
                load_average = machine.load_average()[0]
                tally = Tally()
                for outcome in await serving.outcomes(
                    policy, list(traces[text].trace.arrivals(seed))
                ):
                    tally.add(outcome)
                real = tally.result(text, policy, seed, replica_s=0.0)
                simulated = run_policy(
                    text, traces[text].trace, fleet(model, REPLICAS), policy, seed
                )
                runs.append(LiveRun(real, simulated, load_average))
                print(f"round {seed + 1}: {_line(runs[-1])}", file=sys.stderr, flush=True)
    return runs


def _kinds(traces: Mapping[str, ScaledTrace]) -> list[Kind]:
    """Every kind of work once; traces share some."""
    kinds = {
        (kind.width, kind.height, kind.steps): kind
        for trace in traces.values()
        for kind in trace.trace.kinds
    }
    return list(kinds.values())


def _counted(result: RunResult) -> dict[str, Any]:
    return asdict(result) | {"misses": result.misses}


def _line(run: LiveRun) -> str:
    return (
        f"{run.real.trace} {run.real.policy}: in time {run.real.attainment:.3f}, "
        f"simulated {run.simulated.attainment:.3f}"
    )


def sheets(found: Mapping[str, Any]) -> list[Sheet]:
    """A table for each trace, a row for each policy."""
    return [_sheet(found, text, policies) for text, policies in POLICIES.items()]


def _sheet(found: Mapping[str, Any], text: str, policies: Sequence[str]) -> Sheet:
    rows = []
    for policy in policies:
        runs = [
            run
            for run in found["runs"]
            if (run["real"]["trace"], run["real"]["policy"]) == (text, policy)
        ]
        order, _, rule = policy.partition("+")
        real, simulated = ([run[kind] for run in runs] for kind in ("real", "simulated"))
        rows.append(
            (
                LABELS[order] + (f", `{rule}`" if rule else ""),
                _over_seeds([_misses(each) for each in real]),
                _over_seeds([_misses(each) for each in simulated]),
                _differences(runs),
                _median(real, "quality_goodput", ".3f"),
                _median(simulated, "quality_goodput", ".3f"),
                _milliseconds(real),
                _milliseconds(simulated),
                _median(real, "forecast_error", ".1%") if policy == "ours" else "-",
            )
        )
    headings = (
        "queue",
        "late, %",
        "simulated",
        "difference",
        "goodput",
        "simulated",
        "p50 / p95 / p99, ms",
        "simulated",
        "forecast error",
    )
    loads = [run["load_average"] for run in found["runs"]]
    caption = (
        f"`{text}`, {found['requests']} requests, {found['rounds']} seeds, a second lasts "
        f"{found['scale']:g} s; load average of the machine {min(loads):.1f} to {max(loads):.1f}."
    )
    return Sheet(text, headings, rows, caption)


def _misses(result: Mapping[str, Any]) -> float:
    return 100 * result["misses"] / result["requests"]


def _differences(runs: Sequence[Mapping[str, Any]]) -> str:
    """Percentage points that more were late than the simulator says, seed by seed."""
    points = [_misses(run["real"]) - _misses(run["simulated"]) for run in runs]
    return f"{statistics.median(points):+.1f} [{min(points):+.1f} to {max(points):+.1f}]"


def _over_seeds(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} [{min(values):.1f} to {max(values):.1f}]"


def _median(results: Sequence[Mapping[str, Any]], key: str, form: str) -> str:
    return format(statistics.median(result[key] for result in results), form)


def _milliseconds(results: Sequence[Mapping[str, Any]]) -> str:
    return " / ".join(
        f"{1000 * statistics.median(result[key] for result in results):.0f}"
        for key in ("latency_p50_s", "latency_p95_s", "latency_p99_s")
    )
