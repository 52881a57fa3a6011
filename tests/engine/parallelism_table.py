"""The table of docs/parallelism.md that says what runs where: reads it, and writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

DOCUMENT = Path("docs/parallelism.md")
BEGIN = "<!-- what runs where: begin -->"
END = "<!-- what runs where: end -->"

EQUAL = "equal"
REFUSED = "refused"
NOT_RUN = "not run"

Table = dict[tuple[str, str], str]
"""What is in the cell of a family and a shape."""


def documented() -> Table:
    """The table as it stands in the document."""
    text = DOCUMENT.read_text()
    lines = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    if not rows:
        return {}
    shapes = rows[0][1:]
    return {
        (row[0], shape): cell
        for row in rows[2:]
        for shape, cell in zip(shapes, row[1:], strict=True)
    }


def write(
    table: Mapping[tuple[str, str], str], families: Sequence[str], shapes: Sequence[str]
) -> None:
    """Puts the table into the document, between its two marks."""
    lines = [f"| family | {' | '.join(shapes)} |", "|---" * (len(shapes) + 1) + "|"]
    for family in families:
        cells = [table.get((family, shape), NOT_RUN) for shape in shapes]
        lines.append(f"| {family} | {' | '.join(cells)} |")
    text = DOCUMENT.read_text()
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    DOCUMENT.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + after)
