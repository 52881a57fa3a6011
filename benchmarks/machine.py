"""Where and with what a benchmark ran: a number without these says little."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("torch", "diffusers", "cache-dit", "transformers", "numpy", "ray", "httpx")


def versions() -> dict[str, str]:
    """Python's version and those of the installed packages that matter here."""
    found = {name.replace("-", "_"): version(name) for name in _PACKAGES}
    return {"python": platform.python_version()} | found


def cpu_name() -> str:
    """The processor's name as Linux gives it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_average() -> list[float]:
    """Runnable processes, averaged over the last 1, 5 and 15 minutes."""
    return [round(load, 2) for load in os.getloadavg()]


def date() -> str:
    """Now, in UTC and ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
