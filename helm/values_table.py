"""The table of values in the chart's README, from values.yaml and its comments.

python -m helm.values_table           writes the table into the README
python -m helm.values_table --check   says whether it is in step, with exit code 1 if it is not
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHART = Path(__file__).parent / "dit-serve"
BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"
_KEY = re.compile(r"(?P<indent> *)(?P<name>[A-Za-z]\w*):(?: +(?P<value>.*))?$")
_UNTOLD = {"models": "the embedded model", "podSecurityContext": "", "securityContext": ""}
"""Keys whose values are too long for a table, and what stands in their place."""


@dataclass(frozen=True)
class Value:
    """A key with its dotted path, its default as it is written, and the comment above it."""

    path: str
    default: str
    comment: str


def values(text: str) -> Iterator[Value]:
    """The keys of values.yaml, in their order; that of a map has no default."""
    path: list[str] = []
    comment: list[str] = []
    skipped = -1
    for line in text.splitlines():
        bare = line.strip()
        indent = len(line) - len(line.lstrip())
        if bare.startswith("#"):
            comment.append(bare.removeprefix("#").strip())
            continue
        key = _KEY.fullmatch(line)
        if not bare or (skipped >= 0 and indent > skipped):
            comment = []
            continue
        if key is None:
            continue
        path = [*path[: indent // 2], key["name"]]
        dotted = ".".join(path)
        whole = dotted in _UNTOLD
        skipped = indent if whole else -1
        default = _UNTOLD[dotted] if whole else key["value"] or ""
        yield Value(dotted, default, " ".join(comment))
        comment = []


def table(text: str) -> str:
    """The Markdown table of a values.yaml."""
    rows = ["| key | default | what it is |", "| --- | --- | --- |"]
    for value in values(text):
        if not value.default and not value.comment:
            continue
        default = (
            f"`{value.default}`" if value.default and value.path != "models" else value.default
        )
        path = value.path.replace("workerGroups.cpu", "workerGroups.NAME")
        rows.append(f"| `{path}` | {_cell(default)} | {_cell(value.comment)} |")
    return "\n".join(rows)


def uncommented(text: str) -> list[str]:
    """The paths of keys that no comment explains: their own, or that of their map."""
    explained = {value.path for value in values(text) if value.comment}
    return [
        value.path
        for value in values(text)
        if value.default and not explained & {value.path, value.path.rpartition(".")[0]}
    ]


def with_table(readme: str, text: str) -> str:
    """The README with the table between its two marks.

    Raises:
        ValueError: it has no such marks.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md: {BEGIN} and {END} must be there")
    return f"{before}{begin}\n{table(text)}\n{end}{after}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main(arguments: list[str]) -> int:
    readme = CHART / "README.md"
    text = (CHART / "values.yaml").read_text()
    wanted = with_table(readme.read_text(), text)
    faults = [f"values.yaml: {path} has no comment" for path in uncommented(text)]
    if arguments == ["--check"]:
        if wanted != readme.read_text():
            faults.append("README.md: the table is not in step; run python -m helm.values_table")
        print("\n".join(faults) or "README.md is in step with values.yaml")
        return bool(faults)
    readme.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
