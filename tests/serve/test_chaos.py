"""Under a steady load the control processes die or hang, and nobody is answered wrongly or twice.

A short run of `benchmarks.chaos`, with the faults that no other test makes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.chaos import Plan, under_faults
from benchmarks.chaos_cluster import Stage
from benchmarks.chaos_load import Mix
from tests.serve.faults import parallel_config, variables
from tests.serve.server import serving

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

SEED = 8
PER_S = 0.8
FAULTS = ("router-stop", "gateway-kill", "controller-kill", "proxy-kill")
MIX = Mix({"picture": 5, "deadline": 3, "stream": 2, "stored": 2}, ("none", "fast"), 1)
QUICK = {"health_check_timeout_s": 2.0}
"""A router that hangs is given up after six seconds and not after thirty."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("chaos")
    config = parallel_config(folder / "config.yaml", _one_replica)
    document = yaml.safe_load(config.read_text())
    (application,) = document["applications"]
    application["args"] |= {"gateways": 2, "results": {"url": str(folder / "results")}}
    application["args"]["database_url"] = f"sqlite:///{folder / 'jobs.db'}"
    application["args"]["models"][0]["default_tier"] = "fast"
    application["deployments"] = [{"name": "router-shapes", **QUICK}]
    config.write_text(yaml.safe_dump(document))
    token = secrets.token_hex(32)
    with serving(config, folder, RAY_AUTH_TOKEN=token, **variables(gpus=2)) as server:
        yield Stage(server, server.dashboard_url(), token)


def _one_replica(pair: dict[str, Any]) -> list[dict[str, Any]]:
    return [pair | {"tiers": ["none", "fast"]}]


def test_faults_of_the_control_processes_lose_no_request_and_leave_nothing(stage: Stage) -> None:
    run = under_faults(stage, Plan(SEED, FAULTS, MIX, PER_S, minutes=2.0, rounds=1, calm_s=1.0))
    print(run.verdicts(), *(each for each in run.answers if each.ended != "picture"), sep="\n")
    assert run.broken() == []
    assert {each.fault for each in run.struck} == set(FAULTS)
    assert all(each.gone_s is not None and not each.note for each in run.struck)
