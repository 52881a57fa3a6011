"""docs/reliability.md is changed between one pair of marks, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.evidence import in_words, where, with_part, write_part

DOCUMENT = (
    "# A\n\n<!-- a: begin -->\nold\n\n| x |\n<!-- a: end -->\n<!-- b: begin -->\n<!-- b: end -->\n"
)


def test_a_part_is_replaced_and_all_else_stays() -> None:
    written = with_part(DOCUMENT, "a", "\nnew\n\nlines\n")
    assert written == DOCUMENT.replace("old\n\n| x |", "new\n\nlines")
    assert with_part(written, "a", "old\n\n| x |") == DOCUMENT


def test_an_empty_part_is_filled() -> None:
    assert with_part(DOCUMENT, "b", "new").endswith("<!-- b: begin -->\nnew\n<!-- b: end -->\n")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "<!-- a: begin -->\n",
        "<!-- a: end -->\n<!-- a: begin -->\n",
        DOCUMENT.replace("begin -->\nold", "begin --> old"),
        DOCUMENT + DOCUMENT,
        DOCUMENT + "<!-- a: end -->\n",
    ],
)
def test_without_exactly_one_pair_of_marks_nothing_is_written(
    document: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.md"
    report.write_text(document, "utf-8")
    with pytest.raises(ValueError, match="one part between <!-- a: begin --> and <!-- a: end -->"):
        write_part("a", "new", report)
    assert report.read_text("utf-8") == document


def test_where_says_when_how_and_with_what() -> None:
    found = where(("ray", "pillow"))
    assert list(found) == ["date", "command", "machine", "python", "ray", "pillow"]
    assert re.fullmatch(
        r"Date 20\d\d-\d\d-\d\d; command `python .+`; machine \d+ cores of .+; "
        r"python 3[\d.]+; ray [\d.]+; pillow [\d.]+\.",
        in_words(found),
    )
