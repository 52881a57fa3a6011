"""The frontier of speed and faithfulness as an SVG: a curve per work, a dot per tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape

from cluster.measured_tiers import MeasuredTier

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 48, 52
COLOURS = ("#1b6ca8", "#c2571a", "#3a7d34", "#7a3f9d", "#a8324a", "#555555")
_SPEED_STEPS = (0.25, 0.5, 1.0, 2.0, 5.0)
_DB_STEPS = (2.0, 5.0, 10.0, 20.0)
_TICKS = 7


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`, drawn from pixel `begin` to pixel `end`, with a tick each."""

    low: float
    high: float
    begin: float
    end: float
    step: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    @property
    def ticks(self) -> list[float]:
        count = round((self.high - self.low) / self.step)
        return [self.low + index * self.step for index in range(count + 1)]


def frontier_plot(rows: Sequence[MeasuredTier], title: str) -> str:
    """Speed-up over `none` to the right, PSNR against it upwards.

    `none` itself, and whatever equals it, has no PSNR and is not drawn.
    """
    drawn = [row for row in rows if row.psnr_db is not None]
    x = _axis([1.0, *(row.speed_up for row in drawn)], LEFT, WIDTH - RIGHT, _SPEED_STEPS)
    y = _axis([row.psnr_db or 0.0 for row in drawn] or [0.0], HEIGHT - BOTTOM, TOP, _DB_STEPS)
    parts = [_grid_lines(x, y), _text(LEFT, 24, title, "start", 15)]
    for number, (name, same_work) in enumerate(groupby(drawn, key=lambda row: row.name)):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(_curve(list(same_work), x, y, colour))
        parts.append(_text(WIDTH - RIGHT, TOP + 16 + 18 * number, name, "end", 13, colour))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _axis(values: Sequence[float], begin: float, end: float, steps: Sequence[float]) -> Axis:
    """From the multiple of the step below the least value to the one above the greatest."""
    least, most = min(values), max(values)
    step = next((step for step in steps if (most - least) / step <= _TICKS - 1), steps[-1])
    low, high = step * (least // step), step * (most // step + 1)
    return Axis(low, high, begin, end, step)


def _grid_lines(x: Axis, y: Axis) -> str:
    lines = []
    for value in x.ticks:
        at = x.at(value)
        lines.append(_line(at, TOP, at, HEIGHT - BOTTOM))
        lines.append(_text(at, HEIGHT - BOTTOM + 18, f"{value:g}x", "middle", 12))
    for value in y.ticks:
        at = y.at(value)
        lines.append(_line(LEFT, at, WIDTH - RIGHT, at))
        lines.append(_text(LEFT - 8, at + 4, f"{value:g}", "end", 12))
    lines.append(_text((LEFT + WIDTH) / 2, HEIGHT - 12, "speed-up over none", "middle", 13))
    lines.append(_text(LEFT, TOP - 8, "PSNR against none of the same seed (dB)", "start", 12))
    return "\n".join(lines)


def _curve(rows: Sequence[MeasuredTier], x: Axis, y: Axis, colour: str) -> str:
    """The dots of one work with their tiers' names, and a line from each to the next faster one."""
    places = [(x.at(row.speed_up), y.at(row.psnr_db or 0.0), str(row.tier)) for row in rows]
    line = " ".join(f"{at_x:.1f},{at_y:.1f}" for at_x, at_y, _ in sorted(places))
    parts = [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>']
    for at_x, at_y, tier in places:
        parts.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="4" fill="{colour}"/>')
        parts.append(_text(at_x + 7, at_y - 6, tier, "start", 12, colour))
    return "\n".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#e2e2e2"/>'


def _text(x: float, y: float, text: str, anchor: str, pixels: int, colour: str = "#333333") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{pixels}"'
    return f'<text {place} fill="{colour}">{escape(text)}</text>'
