"""`check` says whether a model's table can be read, and whether it fits what is here."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cluster.load import load_config
from cluster.measured_tiers import Platform
from deployments.cli import app
from deployments.library_versions import library_versions
from tests.unit.cluster.measured import row, table_of

pytestmark = pytest.mark.filterwarnings("ignore")

run = CliRunner()


def config(folder: Path, table: Path) -> Path:
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    document["applications"][0]["args"]["models"][0]["tiers_table"] = str(table)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def written(folder: Path, versions: dict[str, str]) -> Path:
    """A table of the demo's pool, made with these libraries."""
    path = folder / "tiers.json"
    model = load_config(Path("configs/demo.yaml")).models[0]
    table = table_of(model, row(), row("none"))
    platform = Platform(device="card", versions=versions)
    path.write_text(table.model_copy(update={"platform": platform}).to_json())
    return path


def test_check_tells_that_a_table_fits(tmp_path: Path):
    table = written(tmp_path, library_versions())
    checked = run.invoke(app, ["check", str(config(tmp_path, table))])
    assert checked.exit_code == 0
    assert f"shapes/cpu: tiers_table {table}: 2 rows" in checked.stdout


def test_check_tells_why_a_table_will_not_be_used(tmp_path: Path):
    table = written(tmp_path, library_versions() | {"torch": "1.0"})
    checked = run.invoke(app, ["check", str(config(tmp_path, table))])
    assert checked.exit_code == 0
    assert "will not be used: it was measured with torch 1.0, here runs" in checked.stdout


def test_check_refuses_a_table_that_is_not_there(tmp_path: Path):
    file = config(tmp_path, tmp_path / "no.json")
    checked = run.invoke(app, ["check", str(file)])
    assert checked.exit_code == 2
    assert f"{file}: tiers_table of shapes: {tmp_path}/no.json: cannot be read" in checked.stderr


def test_check_refuses_a_table_that_is_none(tmp_path: Path):
    table = tmp_path / "tiers.json"
    table.write_text('{"format": "dit-serve-tiers/1", "rws": []}')
    checked = run.invoke(app, ["check", str(config(tmp_path, table))])
    assert checked.exit_code == 2
    assert "did you mean rows?" in checked.stderr
