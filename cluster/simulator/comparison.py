"""Policies side by side: medians and spread over seeds, and how many times more each misses."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.simulator.results import RunResult

METRICS = (
    "attainment",
    "misses",
    "refused",
    "unserved",
    "floor_breaches",
    "quality_goodput",
    "mean_quality",
    "latency_p50_s",
    "latency_p95_s",
    "latency_p99_s",
    "utilisation",
    "forecast_error",
)
"""The numbers of a run that are compared."""


@dataclass(frozen=True)
class Spread:
    """A number over seeds."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class PolicySummary:
    """A policy on a trace, over all seeds.

    `times_misses` is how many times the misses of the reference policy it has, both summed over the
    seeds; None where the reference has none. `tiers` are shares of all that were served. A metric
    is None where some run has no such number.
    """

    trace: str
    policy: str
    metrics: dict[str, Spread | None]
    tiers: dict[str, float]
    caller_attainment: dict[str, Spread | None]
    times_misses: float | None


def summaries(runs: Sequence[RunResult]) -> list[PolicySummary]:
    """One for each trace and policy, in the order in which they first come.

    The reference of a trace is its first policy.
    """
    found: dict[str, dict[str, list[RunResult]]] = {}
    for run in runs:
        found.setdefault(run.trace, {}).setdefault(run.policy, []).append(run)
    return [
        _summary(own, next(iter(policies.values())))
        for policies in found.values()
        for own in policies.values()
    ]


def _summary(runs: Sequence[RunResult], reference: Sequence[RunResult]) -> PolicySummary:
    served = sum(sum(run.tiers.values()) for run in runs)
    reference_misses = sum(run.misses for run in reference)
    return PolicySummary(
        trace=runs[0].trace,
        policy=runs[0].policy,
        metrics={metric: _spread([getattr(run, metric) for run in runs]) for metric in METRICS},
        tiers={
            tier: sum(run.tiers[tier] for run in runs) / served if served else 0.0
            for tier in runs[0].tiers
        },
        caller_attainment={
            caller: _spread([run.caller_attainment.get(caller) for run in runs])
            for caller in sorted({caller for run in runs for caller in run.caller_attainment})
        },
        times_misses=(
            sum(run.misses for run in runs) / reference_misses if reference_misses else None
        ),
    )


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return Spread(statistics.median(known), min(known), max(known))
