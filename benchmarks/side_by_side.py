"""Side by side: builds the arms of a pool, lets them work in turn, and asks a server over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from diffusers.utils.logging import disable_progress_bar
from rich.console import Console
from rich.progress import Progress

from benchmarks import machine
from benchmarks.arms import Arms, build_arms
from benchmarks.over_http import HttpCall, measure_http
from benchmarks.report import Measured
from benchmarks.runs import Run, measure, summarise
from cluster.config import ClusterConfig, ModelConfig
from cluster.job import Job
from cluster.pool import PoolConfig
from cluster.request import GenerateRequest
from cluster.settling import settle
from deployments.engine import engine_spec

ORDER_SEED = 2026
"""Decides the order of the arms in every round."""


@dataclass(frozen=True)
class Plan:
    """What to measure. Prompts are taken in turn, a round each; seeds go up by one a round.

    `url` is the server to ask over HTTP, or None.
    """

    config: ClusterConfig
    model: ModelConfig
    pool: PoolConfig
    steps: Sequence[int]
    rounds: int
    threads: int
    prompts: Sequence[str]
    first_seed: int
    url: str | None
    http_requests: int


def measured(plan: Plan, console: Console) -> Measured:
    """Does a plan, with a progress bar.

    Raises:
        ConfigError: the pipeline cannot be loaded or compared.
        InvalidRequest: a prompt or a number of steps is out of the model's limits.
        HttpFailed: the server could not be asked, or answered with an error.
    """
    jobs = {
        steps: [_job(plan, steps, index) for index in range(plan.rounds)] for steps in plan.steps
    }
    load_before = machine.load_average()
    http = [] if plan.url is None else _http(plan, plan.url, console)
    disable_progress_bar()
    torch.set_num_threads(plan.threads)
    spec = replace(engine_spec(plan.model, plan.pool), threads=plan.threads)
    arms = build_arms(spec)
    runs = _runs(arms, jobs, console)
    rows = summarise(runs, arms.blocks_when_cached, arms.blocks)
    return Measured(spec, arms, rows, runs, http, load_before)


def _job(plan: Plan, steps: int, index: int) -> Job:
    request = GenerateRequest(
        prompt=plan.prompts[index % len(plan.prompts)],
        model=plan.model.name,
        num_inference_steps=steps,
        seed=plan.first_seed + index,
    )
    return settle(request, plan.config, f"benchmark-{steps}-{index}", 0)[1]


def _http(plan: Plan, url: str, console: Console) -> list[HttpCall]:
    console.print(f"{plan.http_requests} requests to {url}", highlight=False, markup=False)
    return measure_http(
        url, plan.model.name, plan.prompts[0], plan.model.default_size, plan.http_requests
    )


def _runs(arms: Arms, jobs: dict[int, list[Job]], console: Console) -> list[Run]:
    total = sum(len(arms.arms) * (len(of_steps) + 1) for of_steps in jobs.values())
    runs: list[Run] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"{len(arms.arms)} arms", total=total)
        for of_steps in jobs.values():
            runs += measure(arms.arms, of_steps, ORDER_SEED, lambda: progress.advance(task))
    return runs
