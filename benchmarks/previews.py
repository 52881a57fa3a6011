"""What previews cost: the denoise stage of the embedded model without them and with three.

Both arms make the same pictures, in every round in shuffled order. Previews keep to their share of
the time by leaving some out, so a tier that is done soon shows fewer than three.

    mkdir -p out && python -m benchmarks.previews --rounds 20 --out out/previews.json
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.measures import median_of_ratios, psnr_db, ratio_of_medians, shuffled_rounds
from cluster.job import Job
from cluster.load import load_config
from cluster.request import parse_request
from cluster.settling import settle
from cluster.tiers import Tier
from deployments.engine import Engine, build_engine, engine_spec

CONFIG = Path("configs/demo.yaml")
PROMPT = "a red circle left of a blue square on a white background"
WANTED = (0, 3)
"""Previews of the two arms."""

BAR = 1.05
"""Wanted of the denoise stage with previews over that without (issue 6, section 1)."""

ORDER_SEED = 0


@dataclass(frozen=True)
class Run:
    """One picture of one arm: seconds, and how near each preview was to the picture.

    `denoise_s` is the stage by the clock. `processor_s` is what the thread was given between the
    first step's end and the last one's, previews with it: the number to believe where other work
    is on the machine.
    """

    round: int
    tier: str
    steps: int
    wanted: int
    denoise_s: float
    processor_s: float
    nearness_db: tuple[float, ...]
    load_average: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and writes."""
    options = _parser().parse_args(arguments)
    load_before = machine.load_average()
    config = load_config(options.config)
    model = config.models[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = build_engine(engine_spec(model, model.pools[0]))
        engine.warm_up()
    fields = {"prompt": PROMPT, "num_inference_steps": options.steps}
    job = settle(parse_request(fields), config, "previews", seed=0)[1]
    tiers = [Tier(name) for name in options.tiers]
    runs = measured(engine, job, tiers, options.rounds)
    Console(width=None if sys.stdout.isatty() else 140).print(table(runs))
    document = {
        "benchmark": "previews",
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "date": machine.date(),
        "versions": machine.versions(),
        "machine": {
            "cpu": machine.cpu_name(),
            "cores": machine.cores(),
            "load_average_before": load_before,
            "load_average_after": machine.load_average(),
        },
        "bar": BAR,
        "summary": [summary(runs, tier) for tier in tiers],
        "runs": [asdict(run) for run in runs],
    }
    options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written to {options.out}")
    return 0


def measured(engine: Engine, job: Job, tiers: Sequence[Tier], rounds: int) -> list[Run]:
    """Every tier with and without previews in every round, of one seed; one round warms up."""
    arms = [(tier, wanted) for tier in tiers for wanted in WANTED]
    for tier, wanted in arms:
        _one(engine, job, tier, wanted, 0)
    return [
        _one(engine, replace(job, seed=number), tier, wanted, number)
        for number, order in enumerate(shuffled_rounds(arms, rounds, ORDER_SEED), 1)
        for tier, wanted in order
    ]


def summary(runs: Sequence[Run], tier: Tier) -> dict[str, Any]:
    """A tier in numbers: medians over the rounds, and how many previews were shown on average."""
    without, shown = (
        [run for run in runs if (run.tier, run.wanted) == (tier, wanted)] for wanted in WANTED
    )
    nearness_db = [value for run in shown for value in run.nearness_db]
    clock, processor = (
        [[getattr(run, field) for run in arm] for arm in (shown, without)]
        for field in ("denoise_s", "processor_s")
    )
    return {
        "tier": str(tier),
        "steps": shown[0].steps,
        "denoise_s": statistics.median(clock[1]),
        "ratio_of_medians": ratio_of_medians(*clock),
        "median_of_ratios": median_of_ratios(*clock),
        "processor_s": statistics.median(processor[1]),
        "processor_ratio": ratio_of_medians(*processor),
        "previews_shown": statistics.mean(len(run.nearness_db) for run in shown),
        "nearness_db": statistics.median(nearness_db) if nearness_db else None,
    }


def table(runs: Sequence[Run]) -> Table:
    """A row per tier."""
    loads = [run.load_average for run in runs]
    caption = (
        f"{max(run.round for run in runs)} rounds; ratios: with previews over without, at most "
        f"{BAR:g} wanted. By the clock: of the medians, and the median of the rounds' own.\n"
        "Processor: s of the thread over all steps but the first. dB: median PSNR of previews to "
        f"their picture. Load average {min(loads):.1f} to {max(loads):.1f}"
    )
    drawn = Table(title="Previews", caption=caption, caption_justify="left", box=SIMPLE_HEAD)
    for head in ("tier", "steps", "denoise, s", "ratio", "of rounds", "processor, s", "ratio"):
        drawn.add_column(head, justify="left" if head == "tier" else "right")
    for head in ("shown", "dB", "held"):
        drawn.add_column(head, justify="right")
    for tier in [tier for tier in Tier if any(run.tier == tier for run in runs)]:
        row = summary(runs, tier)
        drawn.add_row(
            str(tier),
            str(row["steps"]),
            f"{row['denoise_s']:.3f}",
            f"{row['ratio_of_medians']:.3f}",
            f"{row['median_of_ratios']:.3f}",
            f"{row['processor_s']:.3f}",
            f"{row['processor_ratio']:.3f}",
            f"{row['previews_shown']:.2f}",
            "-" if row["nearness_db"] is None else f"{row['nearness_db']:.1f}",
            "yes" if row["processor_ratio"] <= BAR else "no",
        )
    return drawn


def _one(engine: Engine, job: Job, tier: Tier, wanted: int, number: int) -> Run:
    previews: list[bytes] = []
    marks_s: list[float] = []

    def boundary(done: int, total: int) -> bool:
        marks_s.append(time.thread_time())
        return True

    result = engine.generate(replace(job, partial_images=wanted), tier, boundary, previews.append)
    return Run(
        round=number,
        tier=str(tier),
        steps=job.steps,
        wanted=wanted,
        denoise_s=result.denoise_s,
        processor_s=marks_s[-1] - marks_s[0],
        nearness_db=tuple(psnr_db(result.images[0], preview) for preview in previews),
        load_average=machine.load_average()[0],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.previews",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"(default: {CONFIG})")
    parser.add_argument("--rounds", type=int, default=20, help="each has both arms (default: 20)")
    parser.add_argument("--steps", type=int, default=28, help="denoising steps (default: 28)")
    parser.add_argument(
        "--tiers", nargs="+", choices=list(Tier), default=["none", "medium"], help="(default: both)"
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
