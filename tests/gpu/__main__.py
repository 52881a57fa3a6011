"""`python -m tests.gpu`: runs the checks and writes docs/gpu-checks.md."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.gpu.report import Recorder, report_text

REPORT = Path("docs/gpu-checks.md")
PACKAGES = ("torch", "diffusers", "cache-dit", "torchao", "transformers")


def main() -> int:
    """The exit code of pytest; 2, and nothing written, where there is no card."""
    import torch

    if not torch.cuda.is_available():
        print(f"torch {torch.__version__} sees no CUDA device here", file=sys.stderr)
        return 2
    recorder = Recorder()
    code = int(pytest.main(["-m", "gpu", "tests/gpu"], plugins=[recorder]))
    REPORT.write_text(report_text(where(), list(recorder.checks.values())), encoding="utf-8")
    print(f"Written to {REPORT}")
    return code


def where() -> dict[str, str]:
    """Date, card and versions."""
    import torch

    card = torch.cuda.get_device_properties(0)
    return {
        "Date": datetime.now(UTC).isoformat(timespec="minutes"),
        "card": f"{card.name} ({card.total_memory / 1e9:.1f} GB, sm_{card.major}{card.minor})",
        "CUDA": str(torch.version.cuda),
        "Python": platform.python_version(),
    } | {name: version(name) for name in PACKAGES}


if __name__ == "__main__":
    sys.exit(main())
