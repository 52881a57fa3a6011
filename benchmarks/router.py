"""The router: what it decides and how fast, on real Ray Serve and in the simulator.

    mkdir -p out && RAY_AUTH_MODE=token python -m benchmarks.router --out out/router.json

Its parts, of which some can be chosen; the others stay in the file as they are:

    live       one trace on real Ray Serve with stand-in replicas, and in the simulator
    gateway    requests a second over HTTP, beside bare Ray Serve
    decisions  the scheduler's decisions with 10,000 requests waiting
    bars       what is wanted of the policy, in simulation
    promises   what an admitted deadline is worth, in simulation
    curves     the policy beside others from half to 2.5 times the load
    sweep      the policy's numbers and their neighbours
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import (
    machine,
    router_decisions,
    router_gateway,
    router_live,
    router_promises,
    router_simulated,
    router_sweep,
)
from benchmarks.router_plots import write_plots
from benchmarks.router_sheet import Sheet, write_sheets

WIDTH = 160


@dataclass(frozen=True)
class Part:
    """What a part measures with the command's options, and how it is shown."""

    measure: Callable[[argparse.Namespace], dict[str, Any]]
    sheets: Callable[[Mapping[str, Any]], list[Sheet]]


PARTS: Mapping[str, Part] = {
    "live": Part(
        lambda options: router_live.measure(options.requests, options.rounds, options.scale),
        router_live.sheets,
    ),
    "gateway": Part(lambda options: router_gateway.measure(options.rounds), router_gateway.sheets),
    "decisions": Part(lambda options: router_decisions.measure(), router_decisions.sheets),
    "bars": Part(lambda options: router_simulated.measure_bars(), router_simulated.bar_sheets),
    "promises": Part(lambda options: router_promises.measure(), router_promises.sheets),
    "curves": Part(
        lambda options: router_simulated.measure_curves(), router_simulated.curve_sheets
    ),
    "sweep": Part(lambda options: router_sweep.measure(), router_sweep.sheets),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures the chosen parts, prints and writes."""
    options = _parser().parse_args(arguments)
    document = _known(options.out)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for name in options.parts:
        load_before = machine.load_average()
        found = PARTS[name].measure(options)
        document["parts"][name] = _record(load_before) | found
        for sheet in PARTS[name].sheets(found):
            console.print(sheet.drawn())
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"written to {options.out}")
    if options.plots:
        for path in write_plots(document["parts"]["curves"], options.plots):
            print(f"drawn in {path}")
    if options.document:
        sheets = {name: PARTS[name].sheets(part) for name, part in document["parts"].items()}
        write_sheets(options.document, sheets)
    return 0


def _known(out: Path) -> dict[str, Any]:
    """What the file holds already."""
    if out.exists():
        return json.loads(out.read_text(encoding="utf-8"))
    return {"benchmark": "router", "parts": {}}


def _record(load_before: Sequence[float]) -> dict[str, Any]:
    """Where and how a part was measured."""
    return {
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "date": machine.date(),
        "versions": machine.versions(),
        "machine": {
            "cpu": machine.cpu_name(),
            "cores": machine.cores(),
            "load_average_before": list(load_before),
            "load_average_after": machine.load_average(),
        },
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.router",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument(
        "--parts", nargs="*", choices=PARTS, default=list(PARTS), help="(default: all)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of live and gateway (default: 3)")
    parser.add_argument(
        "--requests", type=int, default=600, help="of each trace of live (default: 600)"
    )
    parser.add_argument(
        "--scale", type=float, default=0.1, help="how long a second of live lasts (default: 0.1)"
    )
    parser.add_argument("--plots", type=Path, help="a folder: draws the curves of the file there")
    parser.add_argument(
        "--document", type=Path, help="puts the tables of the file between its markers"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
