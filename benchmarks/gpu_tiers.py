"""How fast dit-serve's tiers are on a card, at the real size of the models, without their weights.

Real architectures with random weights, made on the device: no download, and no claim of quality.
The engine's own modules set up cache, compilation and float8, as in a server; Ray is not needed.
All arms of a model run in one process, in turn: every round lets each do the same picture once, in
shuffled order.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.gpu_names import ARMS, BARE, ArmName
from benchmarks.gpu_workloads import WORKLOADS
from cluster.acceleration import ATTENTION_BACKENDS
from cluster.errors import ConfigError
from cluster.tiers import MASKED_STEPS_MIN
from deployments.library_logs import quiet_libraries

_EPILOG = f"""\
arms:
{chr(10).join(f"  {arm}" for arm in ARMS)}

speed-up: over diffusers, median of the rounds' ratios, denoise stage alone. Seconds: median [25th
to 75th percentile]. TFLOP/s: the operations that the mask leaves, counted by benchmarks.gpu_flops,
over the seconds. Of matmul: that over one large bfloat16 matmul, measured in each round. Ideal
skip: steps / (computed + cached * (Fn + Bn) / blocks), Fn 1 and Bn 0 here; realised: over tier none
of the same build. Graphs: compiled while warming up, and after it. Working: the most that torch
held beside the weights.

examples:
  python3 -m benchmarks.gpu_tiers --out gpu-tiers.json
  python3 -m benchmarks.gpu_tiers --models flux --steps 28 --rounds 7 --trace traces --out flux.json
  python3 -m benchmarks.gpu_tiers --small --device cpu --rounds 3 --out small.json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and writes after each table; the exit code, 2 where it could not measure."""
    options = _parser().parse_args(arguments)
    quiet_libraries()
    # Here, because torch and cache-dit take seconds: --help and a wrong argument need not wait.
    import torch

    from benchmarks.gpu_report import record, text, where
    from benchmarks.gpu_runs import Plan, measure

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        return _refused(f"torch {torch.__version__} sees no CUDA device here")
    if device == "cpu" and not options.small:
        return _refused("models of real size want a CUDA device; on cpu there is --small")
    if options.trace is not None:
        options.trace.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        device=device,
        small=options.small,
        rounds=options.rounds,
        steps=tuple(dict.fromkeys(options.steps)) if options.steps else None,
        arms=_chosen(options.arms),
        attention_backend=options.attention_backend,
        trace_folder=options.trace,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    place, found = where(plan), []
    try:
        for name in dict.fromkeys(options.models):
            workload = WORKLOADS[name].shrunk() if options.small else WORKLOADS[name]
            for measurement in measure(workload, plan):
                found.append(measurement)
                whole = place | {"measurements": [record(each) for each in found]}
                options.out.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    except ConfigError as error:
        return _refused(str(error))
    print(text(place, found))
    options.out.with_suffix(".md").write_text(text(place, found), encoding="utf-8")
    return 0


def _refused(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


def _chosen(patterns: Sequence[str]) -> tuple[ArmName, ...]:
    """The arms that a pattern names, and bare diffusers in any case."""
    return tuple(
        arm
        for arm in ARMS
        if arm == BARE or any(fnmatchcase(str(arm), pattern) for pattern in patterns)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m benchmarks.gpu_tiers",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the JSON file to write; the tables go beside it")
    add(
        "--models",
        nargs="+",
        choices=list(WORKLOADS),
        default=list(WORKLOADS),
        help="(default: all)",
    )
    add(
        "--steps",
        type=_at_least(MASKED_STEPS_MIN),
        nargs="+",
        help="(default: each model's own; fewer than 8 have no step mask)",
    )
    add("--rounds", type=_at_least(1), default=5, help="pictures per arm and steps (default: 5)")
    add("--arms", nargs="+", default=["*"], help="those whose names match; * and ? match any")
    add("--small", action="store_true", help="few narrow blocks, few tokens: for a run on cpu")
    add("--device", choices=("cuda", "cpu"), help="(default: cuda where there is one)")
    add(
        "--attention-backend",
        choices=ATTENTION_BACKENDS,
        help="dit-serve's, as a pool names it (default: torch's own choice)",
    )
    add("--trace", type=Path, metavar="DIR", help="profile three arms too; timelines go to DIR")
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or int(value) < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {least}, not {value}"
            )
        return int(value)

    return parse


if __name__ == "__main__":
    sys.exit(main())
