"""The curves of `benchmarks.router` as SVG, for docs/router.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from benchmarks.router_simulated import curves

STYLES = {
    "dit-serve": ("#0072B2", "-", "o"),
    "EDF, hopeless last, fixed fast": ("#009E73", "--", "s"),
    "power of two, best of its tier rules": ("#D55E00", "-.", "^"),
    "FIFO, tiers as asked": ("#CC79A7", ":", "D"),
    "power of two, tiers as asked": ("#555555", ":", "x"),
}
"""Colour, line and mark by policy: the colours are those of Okabe and Ito, which the colour-blind
tell apart (https://jfly.uni-koeln.de/color), and lines and marks tell them apart in grey."""

PLOTS = {
    "attainment": ("in-time", "done within the deadline, % of all", 100.0),
    "quality_goodput": ("goodput", "quality-goodput (1: all in time at none)", 1.0),
}
"""File, axis and scale by the number that is drawn."""

SIZE_INCHES = (7.0, 4.4)


def write_plots(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """A file for each plot; the same numbers give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_written(found, metric, folder) for metric in PLOTS]


def _written(found: Mapping[str, Any], metric: str, folder: Path) -> Path:
    file, axis, scale = PLOTS[metric]
    figure = Figure(SIZE_INCHES, layout="constrained", facecolor="white")
    plot = figure.add_subplot()
    for behind, (policy, points) in enumerate(curves(found, metric).items()):
        colour, line, mark = STYLES[policy]
        plot.plot(
            list(points),
            [scale * value for value in points.values()],
            color=colour,
            linestyle=line,
            marker=mark,
            markersize=5,
            linewidth=2,
            label=policy,
            zorder=10 - behind,
        )
    plot.set_xlabel("load: work that arrives at tier none / what the replicas can do")
    plot.set_ylabel(axis)
    plot.set_ylim(0, 1.04 * scale)
    plot.grid(color="#dddddd")
    for side in ("top", "right"):
        plot.spines[side].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    path = folder / f"router-{file}.svg"
    with matplotlib.rc_context({"svg.hashsalt": "router", "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None})
    return path
