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
                num_ranks=2, parallelism_config={"ulysses_size": 3}
            ),
            "ulysses_size x ring_size x tp_size is 3, but num_ranks is 2",
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


def test_check_tells_where_each_cache_setting_comes_from() -> None:
    environment = {"DIT_SERVE_CACHE_DIT_FN": "4", "DIT_SERVE_CACHE_DIT_RDT": "0.2"}
    checked = run.invoke(app, ["check", "configs/demo.yaml"], env=environment)
    assert checked.exit_code == 0
    first, second, *rows, last, table = checked.stdout.splitlines()
    assert first == "configs/demo.yaml: right: shapes (none, slow, medium, fast, ultra)"
    assert second == "  shapes/cpu: cache_config of applications[0].args.models[0].pools[0]"
    assert [row.split(maxsplit=2) for row in rows] == [
        ["key", "value", "from"],
        ["Fn_compute_blocks", "1", "file: cache_config.Fn_compute_blocks"],
        ["residual_diff_threshold", "0.2", "environment: DIT_SERVE_CACHE_DIT_RDT"],
        ["enable_taylorseer", "true", "tier override: slow, medium"],
        ["taylorseer_order", "1", "tier override: slow, medium"],
        ["steps_computation_policy", "static", "file: cache_config.steps_computation_policy"],
    ]
    assert last == "    others: cache-dit's defaults"
    assert "will not be used: it was measured with other settings of shapes/cpu" in table


def test_check_verbose_tells_every_cache_setting() -> None:
    checked = run.invoke(app, ["check", "configs/demo.yaml", "--verbose"])
    rows = [row.split(maxsplit=2) for row in checked.stdout.splitlines()]
    assert ["max_warmup_steps", "8", "cache-dit's default"] in rows
    assert ["scm_cache_bins", "null", "cache-dit's default"] in rows
    assert "others" not in checked.stdout


def test_check_tells_what_the_environment_chose_for_model_and_pool(tmp_path: Path) -> None:
    def without_tiers(document: dict[str, Any]) -> None:
        del pool(document)["tiers"], pool(document)["cache_config"]
        model = document["applications"][0]["args"]["models"][0]
        del model["default_tier"], model["tiers_table"]

    config = edited(tmp_path / "plain.yaml", without_tiers)
    variable = "DIT_SERVE_CACHE_DIT_ENABLED"
    checked = run.invoke(app, ["check", str(config)], env={variable: "no"})
    assert checked.stdout.splitlines() == [
        f"{config}: right: shapes (none)",
        f"  shapes/cpu: tiers: [none]  environment: {variable}",
        f"  shapes/cpu: default_tier: none  environment: {variable}",
        "  shapes/cpu: cache_config: cache-dit's defaults",
    ]


def test_check_tells_a_wrong_variable_and_a_wrong_key_together(tmp_path: Path) -> None:
    config = edited(tmp_path / "wrong.yaml", lambda document: document.update(http_option={}))
    checked = run.invoke(app, ["check", str(config)], env={"DIT_SERVE_CACHE_DIT_FNN": "1"})
    assert checked.exit_code == 2
    assert checked.stderr.splitlines() == [
        f"{config}: unknown key http_option; did you mean http_options?",
        "DIT_SERVE_CACHE_DIT_FNN: unknown variable; did you mean DIT_SERVE_CACHE_DIT_FN?",
    ]


@pytest.mark.parametrize(
    ("url", "variables", "says"),
    [
        ("env:DB", {}, "env:DB: the variable DB must be set on the cluster"),
        ("env:DB", {"DB": "postgresql://u:word@h/j"}, "DB stands in runtime_env.env_vars"),
        ("postgresql://u:word@h/j", {}, "its password stands in the file in plain text"),
        ("postgresql://h/j?password=word", {}, "write database_url: env:DATABASE_URL"),
    ],
)
def test_check_tells_where_the_secret_of_the_database_is_to_stand(
    tmp_path: Path, url: str, variables: dict[str, str], says: str
) -> None:
    def stored(document: dict[str, Any]) -> None:
        application = document["applications"][0]
        application["args"]["database_url"] = url
        application["runtime_env"] = {"env_vars": variables}

    checked = run.invoke(app, ["check", str(edited(tmp_path / "stored.yaml", stored))])
    assert checked.exit_code == 0
    (line,) = (line for line in checked.stdout.splitlines() if "database_url" in line)
    assert says in line
    assert "word@" not in checked.stdout
    assert "=word" not in checked.stdout


@pytest.mark.parametrize("url", ["sqlite:///var/a:b@c.db", "postgresql://dit@host/jobs"])
def test_check_says_nothing_of_a_database_without_a_secret(tmp_path: Path, url: str) -> None:
    def stored(document: dict[str, Any]) -> None:
        document["applications"][0]["args"]["database_url"] = url

    checked = run.invoke(app, ["check", str(edited(tmp_path / "stored.yaml", stored))])
    assert checked.exit_code == 0
    assert "database_url" not in checked.stdout


def test_a_missing_file_is_told() -> None:
    checked = run.invoke(app, ["check", "no-such.yaml"])
    assert checked.exit_code == 2
    assert checked.stderr.startswith("no-such.yaml: cannot be read")


def test_help_names_every_command() -> None:
    shown = run.invoke(app, ["--help"]).stdout
    assert all(command in shown for command in ("check", "plan", "generate", "up", "drain"))
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
