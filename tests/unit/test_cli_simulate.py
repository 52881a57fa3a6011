"""`dit-serve simulate` compares policies on a trace, teaches its spelling, writes its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.cli import app

pytestmark = pytest.mark.filterwarnings("ignore")

SHORT = ["--requests", "200", "--seeds", "2"]


def simulate(*words: str, columns: int = 80) -> Any:
    return CliRunner().invoke(app, ["simulate", *words], env={"COLUMNS": str(columns)})


def test_policies_stand_side_by_side_in_a_terminal_of_80_columns() -> None:
    shown = simulate(*SHORT, "--trace", "poisson:C:load=1.8,tier=auto", "--policy", "fifo+fits")
    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert "pool: 8 replicas of speed 1; 2 seeds" in lines
    kept, work = (line.split() for line in lines if line.startswith("fifo+fits "))
    assert len(kept) == 7
    assert len(work) == 8
    assert work[-1].count("/") == 4
    assert "…" not in shown.stdout


def test_by_default_ours_is_the_first_of_four_and_the_others_are_told_as_its_multiples() -> None:
    shown = simulate(*SHORT).stdout
    rows = [line.split()[0] for line in shown.splitlines() if "100/0/0/0/0" in line]
    assert rows == ["ours", "power-of-two", "fifo", "edf-hopeless-last"]


def test_a_long_name_takes_two_lines_and_no_number_is_cut() -> None:
    shown = simulate(*SHORT, "--policy", "edf-hopeless-last+threshold", "--policy", "ours").stdout
    assert shown.count("edf-hopeless-last ") == 2
    assert shown.count("+threshold ") == 2
    assert "…" not in shown


def test_json_has_every_run_and_its_summary(tmp_path: Path) -> None:
    file = tmp_path / "new" / "runs.json"
    policies = ["--policy", "ours", "--policy", "power-of-two"]
    traces = ["--trace", "poisson:C:callers=2/1", "--trace", "gamma:bimodal:load=0.7"]
    shown = simulate(*SHORT, *policies, *traces, "--replicas", "3", "--json", str(file))
    assert shown.exit_code == 0
    assert "pool: 3 replicas of speed 1" in shown.stdout
    assert "poisson:C:callers=2/1 ours: in time by caller: a " in " ".join(shown.stdout.split())
    document = json.loads(file.read_text())
    assert len(document["runs"]) == 2 * 2 * 2
    assert [(each["trace"], each["policy"]) for each in document["summaries"]] == [
        (trace, policy)
        for trace in ("poisson:C:callers=2/1", "gamma:bimodal:load=0.7")
        for policy in ("ours", "power-of-two")
    ]
    for run in document["runs"]:
        assert run["requests"] == 200
        assert run["misses"] == 200 - run["in_time"]
        assert run["attainment"] == run["in_time"] / 200


def test_a_trace_that_is_written_gives_the_same_numbers_when_it_is_read(tmp_path: Path) -> None:
    lines, drawn, read = (tmp_path / name for name in ("trace.jsonl", "drawn.json", "read.json"))
    name = ["--trace", "gamma:C:load=1.2,tier=auto,noise=0.2", "--requests", "300", "--seeds", "1"]
    policies = ["--policy", "ours", "--policy", "power-of-two+fits"]
    simulate(*name, *policies, "--json", str(drawn), "--write-trace", str(lines))
    again = simulate("--trace", str(lines), *policies, "--json", str(read))
    assert again.exit_code == 0
    one, other = (json.loads(file.read_text())["runs"] for file in (drawn, read))
    assert len(one) == len(other) == 2
    for run in one + other:
        del run["trace"]
    assert one == other


def test_the_pools_of_a_config_have_their_speeds_and_tiers() -> None:
    config = ["--config", "configs/flux-dev.yaml", "--efficiency", "0.75"]
    shown = simulate(*SHORT, *config, "--trace", "poisson:C:tier=auto", "--policy", "ours")
    assert shown.exit_code == 0
    assert "quality: 1 replicas of speed 3, quick: 1 replicas of speed 1" in shown.stdout
    more = simulate(*SHORT, *config, "--replicas", "4", "--policy", "fifo")
    assert "quality: 4 replicas of speed 3, quick: 4 replicas of speed 1" in more.stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--policy", "best"], "policy best: no such policy; a policy is ours, or ORDER+RULE"),
        (["--trace", "poisson:X"], "trace poisson:X: no such trace; a trace is ARRIVALS:MIX"),
        (["--trace", "poisson:C:lod=1"], "unknown key lod; did you mean load?"),
        (["--trace", "README.md"], "README.md:1: not valid JSON"),
        (["--config", "no-such.yaml"], "no-such.yaml: cannot be read"),
        (["--config", "configs/demo.yaml", "--model", "flux"], "no model 'flux' in the config"),
        (["--model", "flux"], "--model names a model of --config"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(words: list[str], problem: str) -> None:
    shown = simulate(*SHORT, *words)
    assert shown.exit_code == 2
    assert problem in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_help_teaches_how_traces_and_policies_are_spelt() -> None:
    shown = simulate("--help", columns=200).stdout
    for word in ("ARRIVALS:MIX:KEY=VALUE", "image+video", "deadline", "edf-hopeless-last", "fits"):
        assert word in shown
