"""How a calibration is shown: a table per pool, size and steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.table import Table

from cluster.measured_tiers import MeasuredTier
from cluster.tier_search import Proposal

GIB = 2**30


def tables_of(rows: Sequence[MeasuredTier]) -> Iterator[Table]:
    """One for all rows of the same work; columns without a value are left out.

    No cell has a space: a narrow terminal breaks the heads only.
    """
    for name, same_work in groupby(rows, key=lambda row: row.name):
        shown = [_cells(row) for row in same_work]
        kept = [column for column in shown[0] if any(cells[column] for cells in shown)]
        table = Table(*kept, title=name, title_justify="left")
        for cells in shown:
            table.add_row(*(cells[column] or "-" for column in kept))
        yield table


def proposal_table(found: Sequence[Proposal]) -> Table:
    """What the settings that a search proposes were measured to give."""
    table = Table("tier", "wanted (dB)", "PSNR (dB)", "SSIM", "speed-up", "steps")
    for each in found:
        given = ["none of the grid", *["-"] * 3] if each.row is None else _given(each.row)
        table.add_row(each.tier, f"{each.wanted_psnr_db:g}", *given)
    return table


def _given(row: MeasuredTier) -> list[str]:
    return [_psnr(row.psnr_db), f"{row.ssim:.4f}", f"{row.speed_up:.2f}x", _steps(row)]


def _cells(row: MeasuredTier) -> dict[str, str]:
    right, asked = row.adherence or (0, 0)
    memory = row.peak_memory_bytes
    return {
        "tier": str(row.tier),
        "steps": _steps(row),
        "p50 (s)": f"{row.seconds_p50:.3f}",
        "p95 (s)": f"{row.seconds_p95:.3f}",
        "speed-up": f"{row.speed_up:.2f}x",
        "PSNR (dB)": _psnr(row.psnr_db),
        "SSIM": f"{row.ssim:.4f}",
        "LPIPS": "" if row.lpips is None else f"{row.lpips:.4f}",
        "CLIP": "" if row.clip_score is None else f"{row.clip_score:.1f}",
        "adherence": f"{right}/{asked}" if asked else "",
        "peak memory (GiB)": "" if memory is None else f"{memory / GIB:.1f}",
    }


def _steps(row: MeasuredTier) -> str:
    return f"{row.steps_computed:.3g}/{row.steps}"


def _psnr(value: float | None) -> str:
    return "equal" if value is None else f"{value:.1f}"
