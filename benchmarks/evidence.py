"""docs/reliability.md: each part is written by the command that measures it, between marks."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.machine import cores, cpu_name, date

REPORT = Path("docs/reliability.md")


def where(packages: Sequence[str] = ("ray",)) -> dict[str, str]:
    """What a number needs beside it, by name: date, command, machine and versions."""
    found = {name: version(name) for name in packages}
    return {
        "date": date().partition("T")[0],
        "command": f"`{shlex.join(['python', *sys.orig_argv[1:]])}`",
        "machine": f"{cores()} cores of {cpu_name()}",
        "python": platform.python_version(),
    } | found


def in_words(where: Mapping[str, str]) -> str:
    """What `where` gave, as one sentence."""
    words = "; ".join(f"{name} {value}" for name, value in where.items())
    return f"{words[:1].upper()}{words[1:]}."


def with_part(document: str, name: str, text: str) -> str:
    """The document with the part between `<!-- NAME: begin -->` and `<!-- NAME: end -->` replaced.

    Raises ValueError where it has not exactly one such part.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, *rest = document.split(begin)
    if len(rest) != 1 or rest[0].count(end) != 1:
        raise ValueError(f"the document needs one part between {begin.strip()} and {end}")
    return f"{before}{begin}{text.strip()}\n{end}{rest[0].partition(end)[2]}"


def write_part(name: str, text: str, report: Path = REPORT) -> None:
    """Replaces that part of the report; raises ValueError as `with_part` does."""
    report.write_text(with_part(report.read_text("utf-8"), name, text), "utf-8")
