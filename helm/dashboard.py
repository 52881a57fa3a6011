"""Writes the chart's Grafana dashboard: `python -m helm.dashboard`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from helm import load_panels, work_panels
from helm.grafana import dashboard, source_variable, variable
from helm.promql import MODEL

FILE = Path(__file__).parent / "dit-serve" / "dashboards" / "dit-serve.json"

_EVERY_POOL = "dit_serve_replicas_min"
"""A metric that each pool has from the start."""


def document() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    return dashboard(
        "dit-serve",
        "dit-serve",
        "Diffusion Transformers in quality tiers: requests, deadlines, tiers, quality, replicas. "
        "What each metric means, and what to do about an alert: docs/monitoring.md.",
        [
            source_variable(),
            variable("namespace", "Namespace", f"label_values({_EVERY_POOL}, namespace)"),
            variable(
                "model", "Model", f'label_values({_EVERY_POOL}{{namespace=~"$namespace"}}, model)'
            ),
            variable("pool", "Pool", f"label_values({_EVERY_POOL}{{{MODEL}}}, pool)"),
        ],
        [
            load_panels.now(),
            load_panels.requests(),
            load_panels.line(),
            work_panels.tiers(),
            work_panels.quality(),
            work_panels.replicas(),
        ],
    )


def text() -> str:
    """The file's content."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
