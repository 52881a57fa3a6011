"""What it costs to look whether results are finite numbers: beside a picture, and by size alone.

The share is that of the notes on latents and decoded pictures in the seconds of whole pictures by
the embedded model, and of the reading of them at the end. The sizes are those of real models.

    mkdir -p out && python -m benchmarks.output_checks --out out/output-checks.json --report
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.evidence import REPORT, in_words, where, write_part
from cluster.job import Job
from cluster.load import load_config
from cluster.request import parse_request
from cluster.settling import settle
from cluster.tiers import Tier
from deployments import corrupt_output
from deployments.corrupt_output import Finiteness, is_black
from deployments.engine import Engine, build_engine, engine_spec

CONFIG = Path("configs/demo.yaml")
PROMPT = "a red circle left of a blue square on a white background"
TIERS = (Tier.NONE, Tier.ULTRA)

SIZES = {
    "latents of a picture of 1024x1024": (1, 4096, 64),
    "latents of a clip of 1280x720, 81 frames": (1, 16, 21, 90, 160),
    "decoded picture of 1024x1024": (1, 3, 1024, 1024),
    "decoded clip of 1280x720, 81 frames": (1, 3, 81, 720, 1280),
}
"""FLUX.1's packed tokens, Wan 2.1's latents, and what their VAEs decode; in bfloat16."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and writes."""
    options = _parser().parse_args(arguments)
    load_before = machine.load_average()
    engine, job = _demo()
    shares = {str(tier): share_of_pictures(engine, job, tier, options.rounds) for tier in TIERS}
    seconds = {name: seconds_of(shape, options.rounds) for name, shape in SIZES.items()}
    Console(width=None if sys.stdout.isatty() else 140).print(table(shares, seconds))
    document = {
        "benchmark": "output_checks",
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "date": machine.date(),
        "versions": machine.versions(),
        "machine": {
            "cpu": machine.cpu_name(),
            "cores": machine.cores(),
            "threads": torch.get_num_threads(),
            "load_average_before": load_before,
            "load_average_after": machine.load_average(),
        },
        "share_of_picture": shares,
        "seconds": seconds,
    }
    options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written to {options.out}")
    if options.report:
        write_part("output-checks", in_a_sentence(shares, seconds))
        print(f"written to {REPORT}")
    return 0


def share_of_pictures(engine: Engine, job: Job, tier: Tier, rounds: int) -> float:
    """Seconds of all looks over the engine's seconds, the median of the pictures."""
    engine.generate(job, tier, _onward)
    shares = []
    for _ in range(rounds):
        with _timed_looks() as spent_s:
            result = engine.generate(job, tier, _onward)
        shares.append(sum(spent_s) / result.engine_s)
    return statistics.median(shares)


def seconds_of(shape: tuple[int, ...], rounds: int) -> float:
    """Seconds to note a tensor of that shape and to read the note, the median."""
    tensor = torch.randn(shape, generator=torch.manual_seed(0)).to(torch.bfloat16)
    return statistics.median(_seconds_to_look(tensor) for _ in range(rounds))


def table(shares: dict[str, float], seconds: dict[str, float]) -> Table:
    """A row per tier, and per size."""
    drawn = Table(title="Looking at what leaves", caption="medians", caption_justify="left")
    drawn.add_column("what")
    drawn.add_column("cost", justify="right")
    for tier, share in shares.items():
        drawn.add_row(f"of a picture by the embedded model, tier {tier}", f"{share:.2%}")
    for name, spent_s in seconds.items():
        drawn.add_row(name, f"{1e3 * spent_s:.3f} ms")
    return drawn


def in_a_sentence(shares: dict[str, float], seconds: dict[str, float]) -> str:
    """What docs/reliability.md says of it."""
    of_pictures = " and ".join(f"{share:.2%} (`{tier}`)" for tier, share in shares.items())
    of_sizes = "; ".join(f"{of}: {1e3 * spent_s:.2f} ms" for of, spent_s in seconds.items())
    return (
        f"To look takes {of_pictures} of the time of a picture by the embedded model. By size, on "
        f"this processor: {of_sizes}. Medians, on a machine that others use as well. "
        f"{in_words(where(('torch',)))}"
    )


@contextmanager
def _timed_looks() -> Iterator[list[float]]:
    """The seconds of each call of what looks; none of the three calls another."""
    spent_s: list[float] = []

    def timed(look: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            started = time.perf_counter()
            found = look(*arguments)
            spent_s.append(time.perf_counter() - started)
            return found

        return call

    with (
        mock.patch.object(Finiteness, "note", timed(Finiteness.note)),
        mock.patch.object(Finiteness, "first_bad", timed(Finiteness.first_bad)),
        mock.patch.object(corrupt_output, "is_black", timed(is_black)),
    ):
        yield spent_s


def _seconds_to_look(tensor: torch.Tensor) -> float:
    finiteness = Finiteness()
    started = time.perf_counter()
    finiteness.note(tensor)
    assert finiteness.first_bad() is None
    return time.perf_counter() - started


def _demo() -> tuple[Engine, Job]:
    config = load_config(CONFIG)
    model = config.models[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = build_engine(engine_spec(model, model.pools[0]))
    return engine, settle(parse_request({"prompt": PROMPT}), config, "checks", seed=0)[1]


def _onward(done: int, total: int) -> bool:
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.output_checks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=20, help="of each (default: 20)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--report", action="store_true", help=f"write a sentence to {REPORT}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
