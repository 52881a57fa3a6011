"""Prometheus's own programs, which Debian's package `prometheus` brings."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`.

    Where it is missing the test is skipped on a laptop, and fails where the environment says
    CI=true.
    """
    if found := shutil.which(name):
        return found
    said = f"{name} is not installed (Debian: apt-get install prometheus)"
    if os.environ.get("CI") == "true":
        pytest.fail(said)
    pytest.skip(said)


def promtool(*arguments: str, given: str | None = None) -> tuple[int, str]:
    """The exit status of a promtool command, and all that it said."""
    done = subprocess.run(
        [program("promtool"), *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
