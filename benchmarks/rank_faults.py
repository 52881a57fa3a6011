"""A rank fails under load: what callers see of it, and how long the pool is short of a replica.

Two replicas of two ranks each (the embedded model, fake GPUs, gloo) draw 20 pictures for four
callers; when a quarter is done, one rank is killed, made to raise, or stopped.

    mkdir -p out && python -m benchmarks.rank_faults --rounds 3 --out out/rank-faults.json
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.measures import shuffled_rounds
from tests.serve.faults import (
    CALLERS,
    REQUESTS,
    parallel_config,
    replicas,
    steady_load,
    until,
    variables,
)
from tests.serve.recovery import Disturbance, Recovery
from tests.serve.server import Server, serving

FAULTS = {"SIGKILL": signal.SIGKILL, "raises": signal.SIGUSR2, "SIGSTOP": signal.SIGSTOP}
WATCHDOG = {"min_s": 3.0, "multiple": 2, "unknown_s": 30}
ORDER_SEED = 0
_COLUMNS = (
    "fault",
    "errors",
    "equal pictures",
    "sent again",
    "noticed",
    "new replica",
    "its ranks",
    "load takes",
    "warm-up",
    "ready",
    "less watchdog",
    "<= bar",
)
READY_BAR_S = 15.0
"""Wanted of `ready`, less the watchdog's time where it was the watchdog that noticed."""


@dataclass(frozen=True)
class Round:
    """One fault, what its callers got, and the seconds of the recovery."""

    fault: str
    errors: int
    equal: int
    sent_again: int
    recovery: Recovery
    load_average: float

    @property
    def ready_less_watchdog_s(self) -> float:
        return self.recovery.ready_s - (self.recovery.allowed_s or 0.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and writes."""
    options = _parser().parse_args(arguments)
    load_before = machine.load_average()
    with tempfile.TemporaryDirectory(prefix="rank-faults-") as name:
        folder = Path(name)
        config = parallel_config(folder / "config.yaml", _two_replicas)
        with serving(config, folder, **variables(gpus=4)) as server:
            rounds = _measured(server, options.rounds)
    Console(width=None if sys.stdout.isatty() else 180).print(table(rounds))
    document = _record(rounds, load_before)
    options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written to {options.out}")
    return 0


def _two_replicas(pair: dict[str, Any]) -> list[dict[str, Any]]:
    return [pair | {"autoscaling": {"min_replicas": 2, "max_replicas": 2}, "watchdog": WATCHDOG}]


def _measured(server: Server, rounds: int) -> list[Round]:
    until(lambda: replicas(server) == {"pair": 2}, 120)
    undisturbed = [answer["data"] for answer in steady_load(server, lambda: None).answers]
    found = []
    for number, order in enumerate(shuffled_rounds(list(FAULTS), rounds, ORDER_SEED), 1):
        for fault in order:
            found.append(_one(server, fault, undisturbed))
            print(f"round {number} of {rounds}: {found[-1]}", flush=True)
    return found


def _one(server: Server, fault: str, undisturbed: Sequence[Any]) -> Round:
    load_average = machine.load_average()[0]
    disturbance = Disturbance(server, "pair", FAULTS[fault])
    load = steady_load(server, disturbance.begin)
    recovery = disturbance.recovery()
    pictures = [answer.get("data") for answer in load.answers]
    attempts = [answer["receipt"]["attempts"] for answer in load.answers if answer]
    return Round(
        fault=fault,
        errors=len(load.failures),
        equal=sum(a == b for a, b in zip(pictures, undisturbed, strict=True)),
        sent_again=sum(count > 1 for count in attempts),
        recovery=recovery,
        load_average=load_average,
    )


def table(rounds: Sequence[Round]) -> Table:
    """A row per fault: errors and pictures over all rounds, seconds as medians."""
    caption = (
        "s since the fault, median \\[least-most] of the rounds. noticed: the replica's process "
        "has ended; new replica, its ranks: their processes are there.\n"
        "load takes, warm-up: how long, of the slowest rank, imports included. "
        "ready: both replicas take requests again.\n"
        f"bar: ready within {READY_BAR_S:.0f} s, less the silence that the watchdog allows"
    )
    drawn = Table(title="A rank fails", caption=caption, caption_justify="left", box=SIMPLE_HEAD)
    for column in _COLUMNS:
        drawn.add_column(column, justify="left" if column == "fault" else "right")
    for fault in FAULTS:
        of_fault = [each for each in rounds if each.fault == fault]
        times = [each.recovery for each in of_fault]
        less = [each.ready_less_watchdog_s for each in of_fault]
        drawn.add_row(
            fault,
            str(sum(each.errors for each in of_fault)),
            f"{sum(each.equal for each in of_fault)} of {REQUESTS * len(of_fault)}",
            str(sum(each.sent_again for each in of_fault)),
            _seconds([each.noticed_s for each in times]),
            _seconds([each.replica_begins_s for each in times]),
            _seconds([each.ranks_begin_s for each in times]),
            _seconds([each.load_s for each in times]),
            _seconds([each.warm_up_s for each in times]),
            _seconds([each.ready_s for each in times]),
            _seconds(less),
            "yes" if statistics.median(less) <= READY_BAR_S else "no",
        )
    return drawn


def _seconds(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} [{min(values):.1f}-{max(values):.1f}]"


def _record(rounds: Sequence[Round], load_before: Sequence[float]) -> dict[str, Any]:
    """Everything that the JSON file holds."""
    return {
        "benchmark": "rank_faults",
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "date": machine.date(),
        "versions": machine.versions(),
        "machine": {
            "cpu": machine.cpu_name(),
            "cores": machine.cores(),
            "load_average_before": list(load_before),
            "load_average_after": machine.load_average(),
        },
        "settings": {
            "requests": REQUESTS,
            "callers": CALLERS,
            "watchdog": WATCHDOG,
            "order_seed": ORDER_SEED,
            "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        },
        "ready_bar_s": READY_BAR_S,
        "rounds": [
            asdict(each) | {"ready_less_watchdog_s": each.ready_less_watchdog_s} for each in rounds
        ],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rank_faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3, help="each has every fault (default: 3)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
