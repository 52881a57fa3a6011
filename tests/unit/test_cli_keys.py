"""`dit-serve keys`: a key is shown once, and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cluster.key_limits import KeyLimits
from cluster.keys import digest, id_within
from deployments.cli import app
from deployments.key_file import KeyFile
from deployments.key_table import KeyTable

pytestmark = pytest.mark.filterwarnings("ignore")


def keys(*words: str) -> Any:
    return CliRunner().invoke(app, ["keys", *words])


def config(folder: Path, auth: Any) -> Path:
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    document["applications"][0]["args"] |= {
        "auth": auth,
        "database_url": f"sqlite:///{folder}/jobs.db",
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_key_is_added_listed_and_revoked_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    made = keys("add", "the team's", "--expires-days", "30", "--file", str(file))
    assert made.exit_code == 0, made.stderr
    text = made.stdout.removesuffix("\n")
    key_id = id_within(text)
    assert key_id is not None
    assert f"Key {key_id} (the team's; generate; works until " in made.stderr
    (key,) = KeyFile(str(file)).read().values()
    assert key.sha256 == digest(text)
    assert key.expires is not None
    assert 29 <= (key.expires - datetime.now(UTC)).days <= 30

    secret = text.split("_", 2)[2]
    shown = keys("list", "--file", str(file))
    assert [key_id, "the", "team's", "generate"] == shown.stdout.splitlines()[1].split()[:4]
    assert shown.stdout.split()[-1] == "works"
    gone = keys("revoke", text, "--file", str(file))
    assert gone.stdout == f"Key {key_id} of {file} does not work any more\n"
    assert keys("list", "--file", str(file)).stdout.split()[-1] == "revoked"
    assert not any(secret in each.output for each in (shown, gone))
    assert secret not in file.read_text()


def test_limits_of_a_key_are_given_shown_and_kept(tmp_path: Path) -> None:
    file, own = tmp_path / "keys.yaml", "{in_flight: 2, tiers: {none: {requests_per_minute: 9}}}"
    for name, words in [("few", ["--limits", own]), ("free", ["--limits", "{}"]), ("usual", [])]:
        made = keys("add", name, *words, "--file", str(file))
        assert made.exit_code == 0, made.stderr
    few, free, usual = KeyFile(str(file)).read().values()
    assert few.limits == KeyLimits.model_validate(yaml.safe_load(own))
    assert (free.limits, usual.limits) == (KeyLimits(), None)
    shown = keys("list", "--file", str(file)).stdout
    assert "in_flight 2, tiers.none.requests_per_minute 9" in shown
    entries = yaml.safe_load(file.read_text())
    assert [entry.get("limits") for entry in entries] == [yaml.safe_load(own), {}, None]


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ("{in_flite: 2}", "limits: unknown key in_flite; did you mean in_flight?"),
        ("2", "--limits: must be a mapping such as {in_flight: 2}, not '2'"),
        ("{in_flight: [", "--limits: must be a mapping such as"),
    ],
)
def test_wrong_limits_make_no_key(tmp_path: Path, limits: str, sentence: str) -> None:
    file = tmp_path / "keys.yaml"
    made = keys("add", "few", "--limits", limits, "--file", str(file))
    assert (made.exit_code, made.stdout) == (2, "")
    assert sentence in made.stderr
    assert not file.exists()


def test_check_shows_the_limits_of_keys(tmp_path: Path) -> None:
    path = config(tmp_path, {"keys": "database"})
    document = yaml.safe_load(path.read_text())
    document["applications"][0]["args"]["key_limits"] = {"gpu_seconds_per_minute": 2.5}
    path.write_text(yaml.safe_dump(document))
    said = CliRunner().invoke(app, ["check", str(path)], env={"COLUMNS": "200"}).stdout
    assert "  key_limits: of every key without its own: gpu_seconds_per_minute 2.5\n" in said


def test_a_config_says_where_the_keys_are(tmp_path: Path) -> None:
    in_database = config(tmp_path, {"keys": "database"})
    scopes = ["--scope", "metrics", "--scope", "admin"]
    text = keys("add", "root", *scopes, "--config", str(in_database)).stdout.strip()
    table = KeyTable(f"sqlite:///{tmp_path}/jobs.db")
    assert {key.sha256 for key in table.read().values()} == {digest(text)}
    table.close()
    assert "admin, metrics" in keys("list", "--config", str(in_database)).stdout

    file = tmp_path / "keys.yaml"
    in_file = config(tmp_path, {"keys_file": str(file)})
    text = keys("add", "ann", "--config", str(in_file)).stdout.strip()
    assert {key.sha256 for key in KeyFile(str(file)).read().values()} == {digest(text)}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["list"], "say where the keys are, with --file FILE or with --config FILE"),
        (["list", "--file", "a", "--config", "b"], "say where the keys are"),
        (["list", "--file", "no.yaml"], "no.yaml: cannot be read: No such file"),
        (["list", "--config", "configs/demo.yaml"], "auth: is none, so there are no keys"),
        (["add", "", "--file", "/nowhere/keys.yaml"], "name: String should have at least 1"),
        (["add", "ann", "--file", "/nowhere/keys.yaml"], "cannot be written: No such file"),
        (["revoke", "dit_abc_def", "--file", "no.yaml"], "ID: that is no id of a key"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_exit_code_2(words: list[str], sentence: str) -> None:
    shown = keys(*words)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert sentence in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    assert "abc_def" not in shown.stderr


@pytest.mark.parametrize(
    ("auth", "host", "line"),
    [
        ("none", "127.0.0.1", None),
        ("none", "localhost", None),
        ("none", "0.0.0.0", "no keys, and http_options.host is 0.0.0.0: other machines get 403"),
        ("none", None, "no keys, and http_options.host is 0.0.0.0: other machines get 403"),
        (
            {"keys": "none", "open_to_network": True},
            "0.0.0.0",
            "WARNING: no keys and open_to_network: whoever reaches 0.0.0.0 may use it",
        ),
        ({"keys": "database"}, "0.0.0.0", "add one: dit-serve keys add NAME --config "),
        ({"keys_file": "/no/keys.yaml"}, "0.0.0.0", "/no/keys.yaml is not on this machine"),
    ],
)
def test_check_says_who_is_let_in_and_how_a_key_is_added(
    tmp_path: Path, auth: Any, host: str | None, line: str | None
) -> None:
    path = config(tmp_path, auth)
    document = yaml.safe_load(path.read_text())
    document["http_options"] = {"port": 8000} | ({"host": host} if host else {})
    path.write_text(yaml.safe_dump(document))
    checked = CliRunner().invoke(app, ["check", str(path)])
    assert checked.exit_code == 0, checked.stderr
    said = [each for each in checked.stdout.splitlines() if each.startswith("  auth: ")]
    assert any(line in each for each in said) if line else said == []


def test_check_refuses_a_file_of_keys_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text("- {id: x}")
    checked = CliRunner().invoke(
        app, ["check", str(config(tmp_path, {"keys_file": str(tmp_path / "keys.yaml")}))]
    )
    assert checked.exit_code == 2
    assert f"{tmp_path}/keys.yaml: [0].id: must be 10 characters" in checked.stderr
