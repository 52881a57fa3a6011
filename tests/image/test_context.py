"""What reaches a build is what its stages copy: no secret, no history, nothing made here."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from tests.image.builds import Build, BuildError
from tests.image.context import context_files, is_ignored, patterns
from tests.image.dockerfile import Stage, stages

KEPT_OUT = [
    ".env",
    ".git/config",
    ".venv/bin/python",
    "cluster/__pycache__/config.cpython-311.pyc",
    "demo/.work/vae.pt",
    "helm/dit-serve/values.yaml",
    "out/trace.json",
    "tests/image/builds.py",
    "var/jobs.db",
]


def test_the_context_is_what_the_stages_copy(dockerfile: dict[str, Stage]) -> None:
    copied = {
        PurePosixPath(word)
        for stage in dockerfile.values()
        for copy in stage.all("COPY")
        if copy.flag("from") is None
        for word in copy.words()[:-1]
    }
    unused = [
        file
        for file in context_files(Path.cwd())
        if not any(file.is_relative_to(each) for each in copied)
    ]
    assert unused == []


@pytest.mark.parametrize("path", KEPT_OUT)
def test_the_context_leaves_out(path: str) -> None:
    assert is_ignored(PurePosixPath(path), patterns(Path.cwd()))


def test_a_copy_of_what_is_kept_out_ends_the_build(tmp_path: Path) -> None:
    stage = stages("FROM scratch AS last\nWORKDIR /app\nCOPY tests/ tests/\n")["last"]
    with pytest.raises(BuildError, match="COPY tests: not in the context"):
        Build(Path.cwd(), tmp_path).run(stage, {})
