"""Measures one model after another: every arm in turn, then nothing of it left on the device."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu_arms import CACHE, Builds, build_all
from benchmarks.gpu_meters import graphs_compiled, matmul_tflops, weight_bytes, working_bytes
from benchmarks.gpu_names import ALL_TOGETHER, BARE, COMPILED, ArmName, Denoised
from benchmarks.gpu_rows import Bar, Row, Run, Work, bars, rows
from benchmarks.gpu_trace import Trace, trace
from benchmarks.gpu_workloads import Workload
from benchmarks.measures import shuffled_rounds
from cluster.tiers import MASKED_STEPS_MIN, Tier

ORDER_SEED = 0

_TRACED = (BARE, ArmName(COMPILED, Tier.NONE), ArmName(ALL_TOGETHER, Tier.ULTRA))
_BARS_FOR = ("flux", 28)
_GRAPHS_MAX = 64


@dataclass(frozen=True)
class Plan:
    """What is measured of every model. `steps` None: the model's own. `tell` hears of progress."""

    device: str
    small: bool
    rounds: int
    steps: tuple[int, ...] | None
    arms: tuple[ArmName, ...]
    attention_backend: str | None
    trace_folder: Path | None
    tell: Callable[[str], None]


@dataclass(frozen=True)
class Measurement:
    """One model at one number of steps. `left_out` says why an arm could not be built."""

    workload: Workload
    steps: int
    work: Work
    rows: Sequence[Row]
    bars: Sequence[Bar]
    runs: Sequence[Run]
    matmul_tflops: Sequence[float]
    left_out: Mapping[ArmName, str]
    traces: Sequence[Trace]


def measure(workload: Workload, plan: Plan) -> Iterator[Measurement]:
    """A measurement for each number of steps; the model leaves the device after the last.

    Raises:
        ConfigError: the model cannot be built as asked.
        MaskNotKept: a tier computed other steps than its mask says.
    """
    # A server has one build in its process; here several share the code of their blocks, of which
    # torch compiles eight versions and then, without this, goes on uncompiled.
    torch._dynamo.config.recompile_limit = _GRAPHS_MAX
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    plan.tell(f"{workload.name}: building")
    builds = build_all(
        workload,
        list(dict.fromkeys(arm.build for arm in plan.arms)),
        plan.device,
        plan.attention_backend,
    )
    for steps in plan.steps or workload.steps:
        yield _measured(workload, builds, steps, plan)
    del builds
    forget(plan.device)


def forget(device: str) -> None:
    """Frees what nothing refers to any more, compiled graphs included."""
    torch._dynamo.reset()
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def _measured(workload: Workload, builds: Builds, steps: int, plan: Plan) -> Measurement:
    arms = [arm for arm in plan.arms if arm.build in builds.denoisers]

    def denoise(arm: ArmName, steps: int = steps) -> Denoised:
        return builds.denoisers[arm.build].denoise(steps, arm.tier)

    graphs_in_warm_up = {}
    for arm in arms:
        plan.tell(f"{workload.name}, {steps} steps: warming up {arm}")
        before = graphs_compiled()
        denoise(arm, min(steps, MASKED_STEPS_MIN))
        graphs_in_warm_up[arm] = graphs_compiled() - before
    runs: list[Run] = []
    rates: list[float] = []
    for index, order in enumerate(shuffled_rounds(arms, plan.rounds, ORDER_SEED)):
        rates.append(matmul_tflops(plan.device))
        for arm in order:
            plan.tell(f"{workload.name}, {steps} steps: round {index + 1} of {plan.rounds}, {arm}")
            before = graphs_compiled()
            denoised, held = working_bytes(plan.device, partial(denoise, arm))
            runs.append(Run(arm, index, denoised, graphs_compiled() - before, held))
    work = Work(
        workload.calls, workload.call_flops, CACHE.Fn_compute_blocks, CACHE.Bn_compute_blocks
    )
    weights = {arm: weight_bytes(builds.denoisers[arm.build].transformer) for arm in arms}
    found = rows(runs, work, rates, graphs_in_warm_up, weights)
    real = plan.device == "cuda" and not plan.small
    return Measurement(
        workload=workload,
        steps=steps,
        work=work,
        rows=found,
        bars=bars(found) if real and (workload.name, steps) == _BARS_FOR else (),
        runs=runs,
        matmul_tflops=rates,
        left_out={
            arm: builds.left_out[arm.build] for arm in plan.arms if arm.build in builds.left_out
        },
        traces=_traces(workload, steps, arms, denoise, plan),
    )


def _traces(
    workload: Workload,
    steps: int,
    arms: Sequence[ArmName],
    denoise: Callable[[ArmName], Denoised],
    plan: Plan,
) -> list[Trace]:
    if plan.trace_folder is None:
        return []
    found = []
    for arm in (arm for arm in _TRACED if arm in arms):
        plan.tell(f"{workload.name}, {steps} steps: tracing {arm}")
        name = f"{workload.name}-{steps}-{arm}".replace(" + ", "-").replace(" ", "-")
        file = plan.trace_folder / f"{name}.json.gz"
        found.append(trace(str(arm), plan.device, partial(denoise, arm), file))
    return found
