"""docs/monitoring.md has every metric as it is exported, and its commands work.

`--write-docs` writes the table of metrics. Other tests start its Prometheus, and hold its alerts
against the rules.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.monitoring import metric_table
from tests.monitoring.programs import program

COMMANDS = re.findall(r"```bash\n(.*?)```", metric_table.DOCUMENT.read_text(), re.DOTALL)


def test_the_table_of_metrics_is_what_is_exported(pytestconfig: pytest.Config) -> None:
    table = metric_table.of_the_registry()
    if pytestconfig.getoption("--write-docs"):
        metric_table.write(table)
    assert metric_table.documented() == table


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_document_works(command: str) -> None:
    if command.startswith("promtool"):
        program("promtool")
    here = command.replace(".venv/bin/python", sys.executable)
    done = subprocess.run(["bash", "-ec", here], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
