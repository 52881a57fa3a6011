"""The record of a run of `benchmarks.gpu_tiers`: its JSON, and its tables in Markdown."""

from __future__ import annotations

import platform
import shlex
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from benchmarks.gpu_arms import CACHE
from benchmarks.gpu_rows import Bar, Row
from benchmarks.gpu_runs import ORDER_SEED, Measurement, Plan
from benchmarks.gpu_trace import Trace
from cluster.acceleration import QuantizeConfig

_PACKAGES = ("torch", "diffusers", "cache-dit", "torchao", "transformers", "accelerate")
_COLUMNS = (
    "arm",
    "computed + cached",
    "denoise, s",
    "speed-up",
    "TFLOP/s",
    "of matmul",
    "cached / computed step",
    "ideal skip",
    "realised / ideal",
    "graphs, later",
    "weights + working, GB",
)
_RANDOM = "Weights and prompts are random: no picture is made, and nothing is said of quality."
_SMALL = "Small sizes: what this shows is that the benchmark runs, not how fast a model is."
_GIGA = 1e9


def where(plan: Plan) -> dict[str, Any]:
    """What was run, when, on what and with which versions."""
    found: dict[str, Any] = {
        "benchmark": "gpu_tiers",
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "date": machine.date(),
        "notes": [_RANDOM, *([_SMALL] if plan.small else [])],
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in _PACKAGES},
        "machine": {"cpu": machine.cpu_name(), "cores": machine.cores(), "device": plan.device},
        "settings": {
            "small": plan.small,
            "rounds": plan.rounds,
            "order_seed": ORDER_SEED,
            "cache_config": CACHE.model_dump(mode="json", exclude_unset=True),
            "quant_type": QuantizeConfig().quant_type,
            "attention_backend": plan.attention_backend,
        },
    }
    if plan.device == "cuda":
        card = torch.cuda.get_device_properties(0)
        found["machine"]["device"] = card.name
        found["machine"] |= {
            "card_memory_bytes": card.total_memory,
            "compute_capability": f"{card.major}.{card.minor}",
            "cuda": torch.version.cuda,
        }
    else:
        found["machine"] |= {
            "torch_threads": torch.get_num_threads(),
            "load_average": machine.load_average(),
        }
    return found


def record(of: Measurement) -> dict[str, Any]:
    """A measurement for JSON: rows, bars, and every run's steps."""
    flops = of.work.flops
    return {
        "model": of.workload.name,
        "source": of.workload.source,
        "config": of.workload.config,
        "size": of.workload.size,
        "steps": of.steps,
        "image_tokens": of.workload.image_tokens,
        "text_tokens": of.workload.text_tokens,
        "calls_per_step": of.work.calls,
        "tflop_per_call": flops.computed / 1e12,
        "cached_flops_share": of.work.cached_flops_share,
        "blocks": len(flops.blocks),
        "matmul_tflops": list(of.matmul_tflops),
        "rows": [asdict(row) | {"arm": str(row.arm)} for row in of.rows],
        "bars": [asdict(bar) | {"arm": str(bar.arm), "held": bar.held} for bar in of.bars],
        "left_out": {str(arm): reason for arm, reason in of.left_out.items()},
        "traces": [asdict(each) for each in of.traces],
        "runs": [
            {"arm": str(run.arm), "round": run.round, "graphs": run.graphs}
            | {"working_bytes": run.working_bytes, **asdict(run.denoised)}
            for run in of.runs
        ],
    }


def text(place: Mapping[str, Any], measurements: Sequence[Measurement]) -> str:
    """Everything as Markdown: place and versions, then tables, bars and traces of each model."""
    versions = ", ".join(f"{name} {number}" for name, number in place["versions"].items())
    lines = [
        f"{place['date']}, {place['machine']['device']} ({place['machine']['cpu']}); {versions}.",
        "",
        *place["notes"],
    ]
    for each in measurements:
        lines += ["", *_section(each)]
    return "\n".join(lines) + "\n"


def _section(of: Measurement) -> Iterator[str]:
    work, size = of.work, of.workload.size
    rate = statistics.median(of.matmul_tflops)
    calls = "one call" if work.calls == 1 else f"{work.calls} calls"
    yield f"### {of.workload.name}, {size}, {of.steps} steps, random weights"
    yield ""
    yield (
        f"{of.workload.source}: {of.workload.image_tokens} + {of.workload.text_tokens} tokens, "
        f"{calls} a step of {work.flops.computed / 1e12:.3g} TFLOP each; a cached step does "
        f"{100 * work.cached_flops_share:.2f} % of them. One large bfloat16 matmul: "
        f"{rate:.3g} TFLOP/s [{min(of.matmul_tflops):.3g} to {max(of.matmul_tflops):.3g}]."
    )
    yield ""
    yield _line(_COLUMNS)
    yield "|---" * len(_COLUMNS) + "|"
    for row in of.rows:
        yield _line(_cells(row))
    for arm, reason in of.left_out.items():
        yield f"\n{arm}: left out. {reason}"
    if of.bars:
        yield ""
        yield from map(_bar_line, of.bars)
    for each in of.traces:
        yield ""
        yield from _trace_lines(each)


def _cells(row: Row) -> list[str]:
    seconds = row.denoise_s
    return [
        str(row.arm),
        f"{row.steps_computed} + {row.steps_cached}",
        f"{seconds.median:.3f} [{seconds.q25:.3f} to {seconds.q75:.3f}]",
        f"{row.speedup:.2f}",
        f"{row.tflops:.3g}",
        f"{100 * row.matmul_share:.1f} %",
        "" if row.cached_over_computed is None else f"{100 * row.cached_over_computed:.2f} %",
        "" if row.ideal_speedup is None else f"{row.ideal_speedup:.2f}",
        "" if row.realised_over_ideal is None else f"{row.realised_over_ideal:.3f}",
        f"{row.graphs_in_warm_up}, {row.graphs_later}",
        f"{row.weight_bytes / _GIGA:.3g}"
        + ("" if row.working_bytes is None else f" + {row.working_bytes / _GIGA:.3g}"),
    ]


def _bar_line(bar: Bar) -> str:
    sign = "<=" if bar.at_most else ">="
    goal = "" if bar.goal is None else f" (reaching for {bar.goal:g})"
    verdict = "held" if bar.held else "missed"
    return (
        f"* {verdict}: {bar.what}, {bar.arm}: {bar.reached:.4g}, wanted {sign} {bar.wanted:g}{goal}"
    )


def _trace_lines(of: Trace) -> Iterator[str]:
    yield (
        f"{of.arm}, profiled: {of.denoise_s:.3f} s, of them {of.busy_s:.3f} s in kernels. "
        "Those that took most:"
    )
    yield ""
    yield _line(("kernel", "calls", "s", "of all kernels"))
    yield "|---" * 4 + "|"
    for kernel in of.kernels:
        name = kernel.name if len(kernel.name) <= 90 else f"{kernel.name[:87]}..."
        share = f"{100 * kernel.seconds / of.busy_s:.1f} %"
        yield _line((name, str(kernel.calls), f"{kernel.seconds:.4f}", share))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
