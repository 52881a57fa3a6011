"""`dit-serve plan --address` asks a running cluster for its nodes."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.ray

PROGRAM = """
import ray, subprocess, sys
ray.init("local", num_cpus=8, num_gpus=4, include_dashboard=False, logging_level="ERROR")
address = ray.get_runtime_context().gcs_address
plan = [sys.executable, "-m", "deployments", "plan", "configs/flux-dev.yaml", "--address", address]
done = subprocess.run(plan, capture_output=True, text=True)
print(done.returncode, done.stdout[-200:], done.stderr)
"""


def test_the_nodes_of_a_running_cluster_are_compared() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 ")
    assert "does not fit on 1 node: needs 5 GPU in all, 4 are there" in done.stdout
