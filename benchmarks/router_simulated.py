"""The router's policy beside others in the simulator: the bars of its quality, and how it bends."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.router_sheet import Sheet
from cluster.simulator.fleet import equal_replicas
from cluster.simulator.policies import OURS
from cluster.simulator.results import RunResult
from cluster.simulator.study import run_policy
from cluster.simulator.tier_rules import RULES
from cluster.simulator.trace_names import parse_trace_name

REPLICAS = 8
SEEDS = 5
BAR_REQUESTS = 20_000
CURVE_REQUESTS = 5_000

POWER_OF_TWO = tuple(f"power-of-two+{rule}" for rule in RULES)
CENTRAL = ("fifo", "edf-hopeless-last+fast")

FEWER_MISSES: Mapping[str, Mapping[str, float]] = {
    "poisson:C:load=0.9": {"power-of-two": 30, "fifo": 15},
    "poisson:bimodal:load=0.9": {"power-of-two": 7, "fifo": 5},
}
"""How many times the misses of ours each must have, everybody asking for tier `none`."""

OVERLOAD = "poisson:C:load=1.8,tier=auto"
OVERLOAD_ATTAINMENT = 0.95
OVERLOAD_FEWER_MISSES = 8.0
OVERLOAD_GOODPUT = "edf-hopeless-last+fast"
"""At 1.8 times what replicas can do at `none`: wanted in time; how many times fewer misses than
power of two with the best of its rules; whose quality-goodput must be reached."""

CURVE = "poisson:{mix}:load={load:g},tier=auto"
CURVE_MIX = "C"
LOADS = (0.5, 0.7, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.65, 1.8, 2.0, 2.25, 2.5)


def measure_bars() -> dict[str, Any]:
    """The policies that the bars name, each on the traces of all seeds."""
    wanted = {text: (OURS, *bars) for text, bars in FEWER_MISSES.items()}
    wanted[OVERLOAD] = (OURS, OVERLOAD_GOODPUT, *POWER_OF_TWO)
    runs = [
        _counted(run)
        for text, policies in wanted.items()
        for policy in policies
        for run in _over_seeds(text, policy, BAR_REQUESTS)
    ]
    return {"replicas": REPLICAS, "requests": BAR_REQUESTS, "seeds": SEEDS, "runs": runs}


def measure_curves() -> dict[str, Any]:
    """Every policy at every load."""
    runs = [
        _counted(run) | {"load": load}
        for load in LOADS
        for policy in (OURS, *CENTRAL, *POWER_OF_TWO)
        for run in _over_seeds(CURVE.format(mix=CURVE_MIX, load=load), policy, CURVE_REQUESTS)
    ]
    return {"replicas": REPLICAS, "requests": CURVE_REQUESTS, "seeds": SEEDS, "runs": runs}


def bar_sheets(found: Mapping[str, Any]) -> list[Sheet]:
    """What is wanted, what is, and whether it is enough."""
    runs = found["runs"]
    ours_over = _of(runs, OVERLOAD, OURS)
    best = min(POWER_OF_TWO, key=lambda policy: _sum(_of(runs, OVERLOAD, policy), "misses"))
    rivals = _of(runs, OVERLOAD, OVERLOAD_GOODPUT)
    rows = [
        _fewer(runs, text, policy, times)
        for text, bars in FEWER_MISSES.items()
        for policy, times in bars.items()
    ]
    least = min(_attainment(run) for run in ours_over)
    breaches = _sum(ours_over, "floor_breaches")
    goodput, rival = (
        statistics.median(run["quality_goodput"] for run in each) for each in (ours_over, rivals)
    )
    rows += [
        (
            f"`{OVERLOAD}`: in time",
            f"{100 * OVERLOAD_ATTAINMENT:g} %",
            f"{100 * least:.2f} % in the worst seed",
            _verdict(least >= OVERLOAD_ATTAINMENT),
        ),
        (f"`{OVERLOAD}`: floors broken", "0", f"{breaches:g}", _verdict(breaches == 0)),
        _fewer(runs, OVERLOAD, best, OVERLOAD_FEWER_MISSES),
        (
            f"`{OVERLOAD}`: quality-goodput of `{OVERLOAD_GOODPUT}`",
            f"{rival:.4f}",
            f"{goodput:.4f}",
            _verdict(goodput >= rival),
        ),
    ]
    headings = ("wanted of the router", "bar", "simulated", "met")
    caption = (
        f"{found['replicas']} replicas, {found['requests']:,} requests, {found['seeds']} seeds; "
        "misses are summed over the seeds, goodput is the median."
    )
    return [Sheet("Bars in simulation", headings, rows, caption)]


def curve_sheets(found: Mapping[str, Any]) -> list[Sheet]:
    """The curves at some loads."""
    names = curves(found, "attainment")
    goodputs = curves(found, "quality_goodput")
    rows = [
        (
            name,
            *(f"{100 * names[name][load]:.1f} / {goodputs[name][load]:.3f}" for load in _SHOWN),
        )
        for name in names
    ]
    headings = ("policy", *(f"load {load:g}" for load in _SHOWN))
    caption = (
        f"In time, % / quality-goodput at a load; mix {CURVE_MIX}, floors drawn, "
        f"{found['requests']:,} requests, medians of {found['seeds']} seeds."
    )
    return [Sheet("Over load", headings, rows, caption)]


_SHOWN = (0.7, 0.9, 1.2, 1.5, 1.8, 2.0, 2.5)


def curves(found: Mapping[str, Any], metric: str) -> dict[str, dict[float, float]]:
    """The metric by policy and load, medians over the seeds.

    For power of two there are two: as asked, and with the rule that is the best at each load.
    """
    medians = {
        policy: {
            load: statistics.median(
                run[metric]
                for run in found["runs"]
                if (run["load"], run["policy"]) == (load, policy)
            )
            for load in LOADS
        }
        for policy in (OURS, *CENTRAL, *POWER_OF_TWO)
    }
    return {
        "dit-serve": medians[OURS],
        "EDF, hopeless last, fixed fast": medians["edf-hopeless-last+fast"],
        "power of two, best of its tier rules": {
            load: max(medians[policy][load] for policy in POWER_OF_TWO) for load in LOADS
        },
        "FIFO, tiers as asked": medians["fifo"],
        "power of two, tiers as asked": medians["power-of-two+asked"],
    }


def _over_seeds(text: str, policy: str, requests: int) -> Iterator[RunResult]:
    fleet = equal_replicas(REPLICAS)
    trace = parse_trace_name(text).trace(requests, fleet.capacity)
    for seed in range(SEEDS):
        yield run_policy(text, trace, fleet, policy, seed)


def _counted(run: RunResult) -> dict[str, Any]:
    return asdict(run) | {"misses": run.misses, "attainment": run.attainment}


def _of(runs: Sequence[Any], text: str, policy: str) -> list[Any]:
    return [run for run in runs if (run["trace"], run["policy"]) == (text, policy)]


def _sum(runs: Sequence[Any], key: str) -> float:
    return sum(run[key] for run in runs)


def _attainment(run: Mapping[str, Any]) -> float:
    return 1 - run["misses"] / run["requests"]


def _fewer(runs: Sequence[Any], text: str, policy: str, times: float) -> tuple[str, ...]:
    ours = _sum(_of(runs, text, OURS), "misses")
    theirs = _sum(_of(runs, text, policy), "misses")
    return (
        f"`{text}`: fewer misses than `{policy}`",
        f"{times:g} times",
        f"{theirs / ours:.1f} times ({ours:,} against {theirs:,})"
        if ours
        else f"0 against {theirs:,}",
        _verdict(ours * times <= theirs),
    )


def _verdict(met: bool) -> str:
    return "yes" if met else "no"
