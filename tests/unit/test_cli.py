"""`dit-serve check` and `plan` judge whole files without Ray; `--help` teaches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from deployments.cli import app

pytestmark = pytest.mark.filterwarnings("ignore")

run = CliRunner()
Edit = Callable[[dict[str, Any]], None]


def edited(path: Path, edit: Edit) -> Path:
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    edit(document)
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize("config", sorted(Path("configs").glob("*.yaml")), ids=str)
def test_every_config_that_we_ship_is_right(config: Path) -> None:
    checked = run.invoke(app, ["check", str(config)])
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert "right" in checked.stdout
    assert run.invoke(app, ["plan", str(config)]).exit_code == 0


def pool(document: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = document["applications"][0]["args"]["models"][0]["pools"][0]
    return first


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            lambda document: document.update(http_option={}),
            "unknown key http_option; did you mean http_options?",
        ),
        (
            lambda document: document["http_options"].update(prt=1),
            "http_options: unknown key prt; did you mean port?",
        ),
        (
            lambda document: document["applications"][0].update(
                deployments=[{"name": "gateway", "num_replicaz": 2}]
            ),
            "applications[0].deployments[0]: unknown key num_replicaz; did you mean num_replicas?",
        ),
        (
            lambda document: document["applications"][0].update(
                deployments=[{"name": "gatway", "num_replicas": 2}]
            ),
            "applications[0].deployments[0].name: no deployment is named gatway; "
            "did you mean gateway?",
        ),
        (
            lambda document: document["applications"][0].update(
                deployments=[{"name": "gateway", "num_replicas": -1}]
            ),
            "applications[0].deployments[0].num_replicas",
        ),
        (
            lambda document: pool(document)["cache_config"].update(Fn_compute_block=1),
            "applications[0].args.models[0].pools[0].cache_config: unknown key Fn_compute_block; "
            "did you mean Fn_compute_blocks?",
        ),
        (
            lambda document: pool(document).update(
                num_ranks=2, parallelism_config={"ulysses_size": "auto"}
            ),
            "a replica of 2 ranks",
        ),
        (
            lambda document: document["applications"][0].update(
                deployments=[{"name": "router-shapes", "num_replicas": 2}]
            ),
            "applications[0].deployments[0]: a model has one router",
        ),
        (
            lambda document: document["applications"].append(
                document["applications"][0] | {"name": "two", "route_prefix": "/two"}
            ),
            "applications: more than one has import_path: deployments.app:build_app",
        ),
        (
            lambda document: document["applications"][0].update(import_path="other:app"),
            "applications: none has import_path: deployments.app:build_app",
        ),
    ],
)
def test_a_wrong_key_or_value_is_one_line_with_file_and_path(
    tmp_path: Path, edit: Edit, line: str
) -> None:
    config = edited(tmp_path / "wrong.yaml", edit)
    for command in ("check", "plan"):
        checked = run.invoke(app, [command, str(config)])
        assert checked.exit_code == 2
        assert checked.stderr.startswith(f"{config}: ")
        assert line in checked.stderr
        assert "Traceback" not in checked.stderr


def test_a_missing_file_is_told() -> None:
    checked = run.invoke(app, ["check", "no-such.yaml"])
    assert checked.exit_code == 2
    assert checked.stderr.startswith("no-such.yaml: cannot be read")


def test_help_names_every_command() -> None:
    shown = run.invoke(app, ["--help"]).stdout
    assert all(command in shown for command in ("check", "plan", "generate", "up"))
    assert "--all-tiers" in run.invoke(app, ["generate", "--help"], env={"COLUMNS": "120"}).stdout


def test_the_builder_and_the_command_line_import_no_torch() -> None:
    code = (
        "import sys, deployments.app, deployments.cli; print('torch' in sys.modules, "
        "'diffusers' in sys.modules, 'cache_dit' in sys.modules)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert printed.stdout.split() == ["False", "False", "False"]
