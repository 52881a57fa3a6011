"""A table of the router's benchmarks: on the terminal, and between two markers of a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Sheet:
    """Rows of text under headings, and a line that says what was done; cells of a row line up."""

    name: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    caption: str

    def drawn(self) -> Table:
        """For the terminal."""
        table = Table(
            title=self.name, caption=Text(self.caption), caption_justify="left", box=SIMPLE_HEAD
        )
        for number, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def markdown(self) -> str:
        lines = [self.headings, tuple("---" for _ in self.headings), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{self.caption}\n\n{table}\n"


def write_sheets(document: Path, sheets: Mapping[str, Sequence[Sheet]]) -> None:
    """Puts the sheets of each part between its two markers.

    Raises:
        ValueError: the document has no such markers.
    """
    text = document.read_text(encoding="utf-8")
    for part, of_part in sheets.items():
        begin, end = markers(part)
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{document}: has no lines {begin} and {end}")
        middle = "\n".join(sheet.markdown() for sheet in of_part)
        text = f"{before}{begin}\n{middle}{end}{after}"
    document.write_text(text, encoding="utf-8")


def markers(part: str) -> tuple[str, str]:
    """The lines around what a part writes."""
    return f"<!-- benchmarks.router {part}: begin -->", f"<!-- benchmarks.router {part}: end -->"
