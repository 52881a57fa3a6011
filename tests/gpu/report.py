"""docs/gpu-checks.md: where the checks ran, and a line for each with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INTRODUCTION = """# GPU checks

Written by `make test-gpu`, which runs `tests/gpu`: the engine on one CUDA device, without Ray and
without a network.
"""


@dataclass(frozen=True)
class Check:
    """A check that ran: its numbers by name, and the first line of what went wrong, if anything."""

    name: str
    numbers: Mapping[str, Any]
    fault: str = ""


class Recorder:
    """A pytest plugin that keeps what each check told."""

    def __init__(self) -> None:
        self.checks: dict[str, Check] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and not report.failed:
            return
        _, _, name = report.nodeid.partition("::")
        fault = ""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            fault = str(crash.message if crash else report.longrepr).partition("\n")[0]
        function, bracket, parameters = name.partition("[")
        name = function.removeprefix("test_").replace("_", " ") + bracket + parameters
        self.checks[report.nodeid] = Check(name, dict(report.user_properties), fault)


def report_text(where: Mapping[str, str], checks: Sequence[Check]) -> str:
    """The whole file; `where` are date, card and versions by name."""
    passed = sum(not check.fault for check in checks)
    lines = [
        INTRODUCTION,
        "; ".join(f"{name} {value}" for name, value in where.items()) + ".",
        "",
        f"{passed} of {len(checks)} checks passed.",
        "",
        "| check | result | numbers |",
        "|---|---|---|",
    ]
    for check in checks:
        numbers = ", ".join(f"{name} {value}" for name, value in check.numbers.items())
        result = f"failed: {check.fault}" if check.fault else "passed"
        lines.append(f"| {_cell(check.name)} | {_cell(result)} | {_cell(numbers)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
