"""Which changes of a config replace a deployment's replicas, and which do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, while it is imported

ARGS = yaml.safe_load(Path("configs/demo.yaml").read_text())["applications"][0]["args"]
CAREFUL = ARGS["models"][0]["pools"][0] | {"name": "careful", "tiers": ["none"]}
QUICK = CAREFUL | {"name": "quick", "tiers": ["fast", "ultra"]}
MODEL = ARGS["models"][0] | {"default_tier": "none", "pools": [CAREFUL, QUICK]}
TWO_MODELS = json.dumps(ARGS | {"models": [MODEL, MODEL | {"name": "other"}]})


def versions(args: dict[str, Any]) -> dict[str, str]:
    """The version of each deployment, by its name, as it would reach Serve's controller."""
    from ray.serve._private.build_app import build_app as built
    from ray.serve._private.config import DeploymentConfig

    from deployments.app import build_app

    found = {}
    for deployment in built(build_app(args), name="a").deployments:
        config = deployment._deployment_config
        config.version = "one for all"
        sent = DeploymentConfig.from_proto_bytes(config.to_proto_bytes())
        assert sent.version is not None
        found[deployment.name] = sent.version
    return found


def replaced(change: Callable[[dict[str, Any]], object]) -> set[str]:
    """The deployments that are replaced when this changes."""
    args = json.loads(TWO_MODELS)
    change(args)
    before, after = versions(json.loads(TWO_MODELS)), versions(args)
    return {name for name in after if before.get(name) != after[name]}


def test_each_deployment_has_a_version_of_its_own() -> None:
    found = versions(json.loads(TWO_MODELS))
    assert len(found) == len(set(found.values())) == 7


def test_the_same_config_replaces_nothing() -> None:
    assert replaced(lambda args: None) == set()


def test_another_setting_of_a_pool_replaces_it_and_what_decides_about_it() -> None:
    def change(args: dict[str, Any]) -> None:
        args["models"][0]["pools"][1]["cache_config"]["Fn_compute_blocks"] = 2

    assert replaced(change) == {"pool-shapes-quick", "router-shapes", "gateway"}


def test_a_new_pool_replaces_no_other() -> None:
    def change(args: dict[str, Any]) -> None:
        args["models"][0]["pools"].append(QUICK | {"name": "new"})

    assert replaced(change) == {"pool-shapes-new", "router-shapes", "gateway"}


def test_what_only_gateways_know_replaces_only_them() -> None:
    assert replaced(lambda args: args.update(public_url="https://pictures.example")) == {"gateway"}
    assert replaced(lambda args: args.update(gateways=3)) == {"gateway"}


def test_a_new_model_replaces_no_pool_and_no_router() -> None:
    def change(args: dict[str, Any]) -> None:
        args["models"].append(MODEL | {"name": "third"})

    new = {"pool-third-careful", "pool-third-quick", "router-third"}
    assert replaced(change) == {*new, "gateway"}


def test_where_results_go_replaces_what_writes_them() -> None:
    found = replaced(lambda args: args.update(results={"url": "elsewhere"}))
    assert {name for name in found if name.startswith("pool-")} == {
        name for name in versions(json.loads(TWO_MODELS)) if name.startswith("pool-")
    }


def test_other_code_replaces_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    from deployments import versions as module

    before = versions(json.loads(TWO_MODELS))
    monkeypatch.setattr(module, "_code", lambda: "other code")
    after = versions(json.loads(TWO_MODELS))
    assert not set(before.values()) & set(after.values())


def test_every_process_finds_the_same_versions() -> None:
    program = (
        "from tests.unit.test_versions import *\n"
        "print(json.dumps(versions(json.loads(TWO_MODELS))))"
    )
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(told.stdout) == versions(json.loads(TWO_MODELS))
