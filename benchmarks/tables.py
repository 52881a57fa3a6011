"""The tables that `benchmarks.tiers` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import JustifyMethod
from rich.table import Table

from benchmarks.measures import Spread, spread
from benchmarks.over_http import HTTP_BAR, HTTP_STEPS, HttpCall, http_summary
from benchmarks.runs import IDEAL_BAR, Row

_COLUMNS = (
    "arm",
    "steps",
    "denoise s",
    "whole call s",
    "denoise x",
    "whole x",
    "PSNR dB",
    "ideal x",
    "realised\n/ ideal",
    f">= {IDEAL_BAR:.2f}",
    "against\nown none",
    "cache-dit\n/ this",
)
_CAPTION = """\
steps: computed + cached. s: median [25th-75th percentile]. PSNR: against bare diffusers' picture.
x: speed-up over bare diffusers, median of the rounds' ratios (in brackets: ratio of medians).
ideal, realised, bar: denoise stage with static masks, steps / (computed + cached * Fn+Bn / blocks).
against own none: realised / ideal with the same maker's tier none as the baseline.
cache-dit / this: bare cache-dit's denoise time with the same mask over this arm's."""


def tier_table(rows: Sequence[Row], steps: int) -> Table:
    """The rows of one number of steps."""
    table = Table(title=f"{steps} steps", caption=_CAPTION, caption_justify="left", box=SIMPLE_HEAD)
    for column in _COLUMNS:
        justify: JustifyMethod = "left" if column == "arm" else "right"
        table.add_column(column, justify=justify, overflow="fold")
    of_steps = [row for row in rows if row.steps == steps]
    for row, below in zip(of_steps, [*of_steps[1:], None], strict=True):
        ends = below is None or _group(below) != _group(row)
        table.add_row(*_cells(row), end_section=ends)
    return table


def http_table(calls: Sequence[HttpCall]) -> Table:
    """End to end against the engine alone."""
    table = Table(
        title=f"HTTP, tier none, {HTTP_STEPS} steps, {len(calls)} requests", box=SIMPLE_HEAD
    )
    for column in ("", "median [25th-75th percentile]"):
        table.add_column(column)
    summary = http_summary(calls)
    for name, label in (
        ("client_s", "end to end, by the client, s"),
        ("engine_s", "engine alone (encode + denoise + decode), s"),
        ("server_s", "receipt's total, s"),
        ("queue_s", "of it queued, s"),
    ):
        table.add_row(label, _seconds(spread([getattr(call, name) for call in calls])))
    table.add_row("end to end / engine", _seconds(spread([call.ratio for call in calls])))
    table.add_row(f"<= {HTTP_BAR:.2f}", _verdict(summary["meets_bar"]))
    return table


def _group(row: Row) -> tuple[str, str | None]:
    return row.arm.maker, row.arm.policy


def _cells(row: Row) -> list[str]:
    return [
        str(row.arm),
        f"{row.steps_computed:g} + {row.steps_cached:g}",
        _seconds(row.denoise_s),
        _seconds(row.whole_s),
        f"{row.denoise_speedup:.2f} ({row.denoise_speedup_of_medians:.2f})",
        f"{row.whole_speedup:.2f} ({row.whole_speedup_of_medians:.2f})",
        "identical" if row.identical else f"{row.psnr_db:.1f}",
        _number(row.ideal_speedup),
        _number(row.realised_over_ideal),
        _verdict(row.meets_bar),
        _number(row.own_none_over_ideal),
        _number(row.over_cache_dit),
    ]


def _seconds(value: Spread) -> str:
    return f"{value.median:.3f} [{value.q25:.3f}-{value.q75:.3f}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _verdict(met: bool | None) -> str:
    return "" if met is None else "[green]yes[/]" if met else "[red]no[/]"
