"""What a tier gains over bare diffusers and bare cache-dit, and what HTTP adds to the engine.

All arms run in one process, in turn: every round lets each arm make the same picture once, in
shuffled order, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.over_http import HttpFailed
from benchmarks.tables import http_table, tier_table
from cluster.config import ClusterConfig, ModelConfig
from cluster.errors import ConfigError, DitServeError
from cluster.load import load_config
from cluster.pool import PoolConfig
from cluster.tiers import MASKED_STEPS_MIN

PROMPTS = (
    "a red circle left of a blue square on a white background",
    "a small green star on a black background",
    "a yellow triangle above a purple circle on a gray background",
    "a large orange square on a white background",
)
_TABLE_WIDTH = 180
"""Columns, where the output is no terminal; a narrower terminal folds the table."""

_EPILOG = """\
arms, each at every number of steps:
  diffusers           no cache: the baseline of every speed-up and the reference of every PSNR
  cache-dit TIER      cache_dit.enable_cache on the transformer, the tier's mask, policy static
  engine TIER static  our engine, the same mask and policy
  engine TIER config  our engine with the policy that the config file says (dynamic by default)

ideal = steps / (computed + cached * (Fn + Bn) / blocks): only transformer blocks take time, and a
cached step runs Fn + Bn of them. Realised / ideal below the bar is written down, not an error.
The bare arms run as their users run them, under the pipeline's own torch.no_grad; the engine runs
under torch.inference_mode, which is part of what it gains. "Against own none" leaves that out.

examples:
  python -m benchmarks.tiers --config configs/demo.yaml --out out/tiers.json
  python -m benchmarks.tiers --config configs/demo.yaml --out out/tiers.json --http
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit code (2 when it could not measure)."""
    options = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_TABLE_WIDTH)
    try:
        _measure_and_tell(options, console)
    except (DitServeError, HttpFailed) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _measure_and_tell(options: argparse.Namespace, console: Console) -> None:
    config = load_config(options.config)
    model, pool = _chosen(config, options)
    # Here, because torch and cache-dit take seconds: --help and a wrong argument need not wait.
    from benchmarks.report import notes, report
    from benchmarks.side_by_side import ORDER_SEED, Plan, measured

    plan = Plan(
        config=config,
        model=model,
        pool=pool,
        steps=tuple(dict.fromkeys(options.steps)),
        rounds=options.rounds,
        threads=options.threads,
        prompts=options.prompt,
        first_seed=options.seed,
        url=options.url if options.http else None,
        http_requests=options.http_requests,
    )
    found = measured(plan, console)
    for steps in plan.steps:
        console.print(tier_table(found.rows, steps))
    if found.http:
        console.print(http_table(found.http))
    for note in notes(found):
        console.print(f"note: {note}", highlight=False, markup=False)
    settings = {key: value for key, value in vars(options).items() if key not in ("config", "out")}
    settings |= {"config": str(options.config), "order_seed": ORDER_SEED}
    text = json.dumps(report(found, settings), indent=2, allow_nan=False)
    options.out.write_text(text + "\n", encoding="utf-8")
    console.print(f"written to {options.out}", highlight=False, markup=False)


def _chosen(config: ClusterConfig, options: argparse.Namespace) -> tuple[ModelConfig, PoolConfig]:
    """The model and its pool: those named, or the first."""
    model = config.model_named(options.model) if options.model else config.models[0]
    if model is None:
        names = ", ".join(model.name for model in config.models)
        raise ConfigError(f"--model: {options.config} has no {options.model}; it has {names}")
    pools = {pool.name: pool for pool in model.pools}
    name = options.pool or model.pools[0].name
    if name not in pools:
        raise ConfigError(f"--pool: {model.name} has no {name}; it has {', '.join(pools)}")
    return model, pools[name]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tiers",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    steps = _at_least(MASKED_STEPS_MIN, " (fewer steps have no step mask)")
    add("--config", type=Path, required=True, help="the Serve config file that names the model")
    add("--out", type=_new_file, required=True, help="the JSON file to write")
    add("--model", help="which model of the config (default: its first)")
    add("--pool", help="which pool of the model (default: its first)")
    add("--steps", type=steps, nargs="+", default=[28, 50], help="(default: 28 50)")
    add("--rounds", type=_at_least(1), default=7, help="pictures per arm and steps (default: 7)")
    add("--threads", type=_at_least(1), default=1, help="torch's threads (default: 1)")
    add("--prompt", nargs="+", default=list(PROMPTS), help="one or more; rounds take them in turn")
    add(
        "--seed",
        type=_at_least(0),
        default=0,
        help="the first round's; each round adds one (default: 0)",
    )
    add(
        "--http",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="also measure HTTP, at tier none and 28 steps; a server must already run at --url",
    )
    add("--url", default="http://127.0.0.1:8000", help="that server (default: %(default)s)")
    add("--http-requests", type=_at_least(1), default=20, help="how many (default: 20)")
    return parser


def _at_least(least: int, why: str = "") -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {least}{why}, not {text}"
            )
        return int(text)

    return parse


def _new_file(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: not a file in a folder that exists")
    return path


if __name__ == "__main__":
    sys.exit(main())
