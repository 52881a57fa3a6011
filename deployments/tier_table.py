"""How a comparison of tiers is shown: a row per tier."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table

from deployments.tier_rows import TierRow


def tier_table(rows: Sequence[TierRow]) -> Table:
    """Steps, seconds, and what can be said of quality."""
    table = Table("tier", "steps computed", "seconds", "speed-up", "PSNR (dB)")
    judged = any(row.adherence for row in rows)
    if judged:
        table.add_column("adherence")
    for row in rows:
        cells = [
            row.tier,
            f"{row.made.steps_computed} of {row.made.steps}",
            f"{row.made.seconds:.3f}",
            "-" if row.speed_up is None else f"{row.speed_up:.2f}x",
            _psnr(row.psnr_db),
        ]
        if judged:
            cells.append(
                f"{row.adherence[0]} of {row.adherence[1]} facts" if row.adherence else "-"
            )
        table.add_row(*cells)
    return table


def _psnr(value: float | None) -> str:
    if value is None:
        return "-"
    return "equal" if math.isinf(value) else f"{value:.1f}"
