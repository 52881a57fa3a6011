"""The record of a run of `benchmarks.tiers`: everything that its JSON file holds."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.arms import Arms
from benchmarks.bare import device_name
from benchmarks.over_http import HttpCall, http_summary
from benchmarks.runs import IDEAL_BAR, Row, Run
from deployments.engine import EngineSpec


@dataclass(frozen=True)
class Measured:
    """What was measured, and on what; `load_before` is the load average before the first run."""

    spec: EngineSpec
    arms: Arms
    rows: Sequence[Row]
    runs: Sequence[Run]
    http: Sequence[HttpCall]
    load_before: Sequence[float]


def notes(measured: Measured) -> list[str]:
    """What a reader must know to read the numbers right."""
    return [
        _weights_note(measured.spec.source),
        *_load_notes(measured.load_before),
        *_identity_notes(measured.rows),
        *_server_notes(measured.http, measured.spec.config_hash),
    ]


def report(measured: Measured, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping for JSON. `settings` are the command's own: rounds, prompts, seeds and the like."""
    spec = measured.spec
    return {
        "benchmark": "tiers",
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "date": machine.date(),
        "notes": notes(measured),
        "versions": machine.versions(),
        "machine": {
            "cpu": machine.cpu_name(),
            "cores": machine.cores(),
            "device": device_name(spec.device),
            "load_average_before": list(measured.load_before),
            "load_average_after": machine.load_average(),
        },
        "model": {
            "name": spec.model,
            "pool": spec.pool,
            "source": spec.source,
            "config_hash": spec.config_hash,
            "dtype": spec.dtype,
            "compile": spec.compile,
            "blocks": measured.arms.blocks,
            "blocks_when_cached": dict(measured.arms.blocks_when_cached),
            "cache_config": {
                tier.value: cache.model_dump(mode="json") for tier, cache in spec.tiers.items()
            },
        },
        "settings": dict(settings),
        "ideal_bar": IDEAL_BAR,
        "rows": [_record(row) for row in measured.rows],
        "http": http_summary(measured.http) if measured.http else None,
        "runs": [_record(run) for run in measured.runs],
    }


def _record(of: Row | Run) -> dict[str, Any]:
    """JSON knows no infinity: `psnr_db` is None where no pixel differs."""
    return asdict(of) | {"psnr_db": of.psnr_db if math.isfinite(of.psnr_db) else None}


def _weights_note(source: str) -> str:
    if source.rstrip("/").endswith("demo/weights"):
        return (
            "the weights are the embedded model's (demo/weights); it is small, so the fixed costs "
            "of a step weigh more than in a production model"
        )
    return f"the weights are those of {source}, not the embedded model's (demo/weights)"


def _load_notes(load_before: Sequence[float]) -> list[str]:
    if load_before[0] <= 0.5:
        return []
    return [
        f"the machine was not idle: load average {load_before[0]} on {machine.cores()} cores "
        "before the run; believe the rounds' ratios rather than the seconds"
    ]


def _identity_notes(rows: Sequence[Row]) -> list[str]:
    return [
        f"{row.arm}, {row.steps} steps: NOT identical to bare diffusers ({row.psnr_db:.1f} dB), "
        "though it caches nothing"
        for row in rows
        if row.arm.tier == "none" and not row.identical
    ]


def _server_notes(http: Sequence[HttpCall], config_hash: str) -> list[str]:
    others = {call.config_hash for call in http} - {config_hash}
    return [
        f"the server's config hash is {other}, this config's is {config_hash}: HTTP was measured "
        "with other settings or weights"
        for other in sorted(others)
    ]
