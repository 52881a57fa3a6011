"""The policy's own numbers and their neighbours in the simulator: what another choice would do."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from benchmarks.router_sheet import Sheet
from cluster import late, pressure, routing
from cluster.simulator.fleet import equal_replicas
from cluster.simulator.policies import OURS
from cluster.simulator.results import RunResult
from cluster.simulator.study import run_policy
from cluster.simulator.trace_names import parse_trace_name

SEEDS = 3
REQUESTS = 5_000

TIER_SETTINGS = (
    ("poisson:C:load=1.3,tier=auto", 8),
    ("poisson:C:load=1.8,tier=auto", 8),
    ("poisson:C:load=1.8,tier=auto", 32),
    ("poisson:C:load=1.5,tier=auto", 2),
    ("gamma:bimodal:load=1.5,tier=auto,noise=0.2", 8),
)
"""Traces and replicas for the numbers that choose tiers."""

LATE_SETTINGS = (
    ("poisson:C:load=1.1", 8),
    ("gamma:C:load=0.95", 8),
    ("poisson:bimodal:load=1.1", 8),
)
"""And for those that order jobs which are late already: more comes than can be done."""


@dataclass(frozen=True)
class Variant:
    """Another value of one of the policy's numbers."""

    module: ModuleType
    name: str
    value: Any

    @property
    def chosen(self) -> bool:
        """It is the value that the policy has."""
        return getattr(self.module, self.name) == self.value

    @contextmanager
    def in_force(self) -> Iterator[None]:
        kept = getattr(self.module, self.name)
        setattr(self.module, self.name, self.value)
        try:
            yield
        finally:
            setattr(self.module, self.name, kept)


def _strains() -> Iterator[tuple[float, ...]]:
    """As they are; all halved and doubled; one after the other halved and doubled."""
    whole = pressure.STRAINS
    yield whole
    for factor in (0.5, 2.0):
        yield tuple(factor * limit for limit in whole)
    for changed in range(len(whole)):
        for factor in (0.5, 2.0):
            yield tuple(
                factor * limit if number == changed else limit for number, limit in enumerate(whole)
            )


def _values(module: ModuleType, name: str, *values: float) -> Iterator[Variant]:
    """The value that the policy has, among others."""
    for value in sorted({*values, getattr(module, name)}):
        yield Variant(module, name, value)


TIER_VARIANTS = (
    *(Variant(pressure, "STRAINS", strains) for strains in _strains()),
    *_values(pressure, "OWN_PART", 0.0, 0.06, 0.25, 1.0),
    *_values(pressure, "HYSTERESIS", 0.5, 0.7, 1.0),
    *_values(routing, "SPENDABLE", 0.5, 0.7, 1.0),
)
LATE_VARIANTS = (
    *_values(late, "AGEING", 0.0, 0.03, 0.3, 1.0),
    *_values(late, "PATIENCE", 2.0, 4.0, 16.0, 1e9),
    *_values(late, "LATE_TURN", 5, 10, 40),
)


def measure() -> dict[str, Any]:
    """Every variant in every setting."""
    return {
        "seeds": SEEDS,
        "requests": REQUESTS,
        "tiers": [_row(variant, TIER_SETTINGS, _tier_numbers) for variant in TIER_VARIANTS],
        "late": [_row(variant, LATE_SETTINGS, _late_numbers) for variant in LATE_VARIANTS],
    }


def sheets(found: Mapping[str, Any]) -> list[Sheet]:
    """Numbers of tiers, then those of the late."""
    seeds = f"{found['requests']:,} requests, medians of {found['seeds']} seeds; chosen in bold."
    return [
        _sheet("Tiers", found["tiers"], TIER_SETTINGS, f"Quality-goodput (in time, %); {seeds}"),
        _sheet(
            "Late jobs",
            found["late"],
            LATE_SETTINGS,
            f"In time, % (99th percentile of the latency, s); {seeds}",
        ),
    ]


def _row(
    variant: Variant,
    settings: tuple[tuple[str, int], ...],
    numbers: Callable[[list[RunResult]], tuple[float, float]],
) -> dict[str, Any]:
    with variant.in_force():
        cells = [numbers(list(_runs(text, replicas))) for text, replicas in settings]
    return {
        "name": variant.name,
        "value": variant.value,
        "chosen": variant.chosen,
        "cells": cells,
    }


def _runs(text: str, replicas: int) -> Iterator[RunResult]:
    fleet = equal_replicas(replicas)
    trace = parse_trace_name(text).trace(REQUESTS, fleet.capacity)
    for seed in range(SEEDS):
        yield run_policy(text, trace, fleet, OURS, seed)


def _tier_numbers(runs: list[RunResult]) -> tuple[float, float]:
    return (
        statistics.median(run.quality_goodput for run in runs),
        100 * statistics.median(run.attainment for run in runs),
    )


def _late_numbers(runs: list[RunResult]) -> tuple[float, float]:
    return (
        100 * statistics.median(run.attainment for run in runs),
        statistics.median(run.latency_p99_s or 0.0 for run in runs),
    )


def _sheet(
    name: str, rows: list[dict[str, Any]], settings: tuple[tuple[str, int], ...], caption: str
) -> Sheet:
    first, second = (".4f", ".2f") if name == "Tiers" else (".2f", ".0f")
    return Sheet(
        name,
        ("number", *(f"`{text}`, {replicas} replicas" for text, replicas in settings)),
        [
            (
                _named(row),
                *(f"{one:{first}} ({other:{second}})" for one, other in row["cells"]),
            )
            for row in rows
        ],
        caption,
    )


def _named(row: Mapping[str, Any]) -> str:
    value = row["value"]
    text = f"{row['name']} " + (
        ", ".join(f"{each:g}" for each in value)
        if isinstance(value, (list, tuple))
        else f"{value:g}"
    )
    return f"**{text}**" if row["chosen"] else text
