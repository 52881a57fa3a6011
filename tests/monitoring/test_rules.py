"""The alert rules: promtool reads and runs them, and each has its cases and its page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.programs import promtool
from tests.monitoring.promql import metrics_in
from tests.monitoring.registry import metrics_of_everything
from tests.monitoring.rules import ALERTS, FILES, RECORDED, RULES

CASES = sorted(Path("tests/monitoring/cases").glob("*.yaml"))
DOCUMENT = Path("docs/monitoring.md")


def name_of(rule: dict[str, Any]) -> str:
    return str(rule.get("alert") or rule["record"])


def test_promtool_takes_every_file() -> None:
    status, said = promtool("check", "rules", *map(str, FILES))
    assert status == 0, said


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_not_else(cases: Path) -> None:
    status, said = promtool("test", "rules", str(cases))
    assert status == 0, said


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    names = [test["name"] for path in CASES for test in yaml.safe_load(path.read_text())["tests"]]
    wanted = [f"{rule['alert']} {does}" for rule in ALERTS for does in ("fires", "does not fire")]
    assert sorted(names) == sorted(wanted)


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize(("value", "missed"), [(0, "fires"), (1, "does not fire")])
def test_the_cases_notice_alerts_that_never_or_always_fire(
    cases: Path, value: int, missed: str, tmp_path: Path
) -> None:
    broken = yaml.safe_load(Path(f"helm/dit-serve/rules/{cases.name}").read_text())
    alerts = [rule for group in broken["groups"] for rule in group["rules"] if "alert" in rule]
    for rule in alerts:
        rule["expr"] = f"vector({value}) > 0"
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(broken))
    document = yaml.safe_load(cases.read_text()) | {"rule_files": ["broken.yaml"]}
    for rule in alerts:
        name = f"{rule['alert']} {missed}"
        tests = [test for test in document["tests"] if test["name"] == name]
        (tmp_path / "cases.yaml").write_text(yaml.safe_dump(document | {"tests": tests}))
        status, said = promtool("test", "rules", str(tmp_path / "cases.yaml"))
        assert status == 1, f"{name}: {said}"


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_a_rule_speaks_of_metrics_that_are_exported(rule: dict[str, Any]) -> None:
    exported = {sample.name for metric in metrics_of_everything() for sample in metric.samples}
    gateways = {"dit_serve_build_info", "dit_serve_router_up"}
    assert metrics_in(rule["expr"]) <= exported | gateways | RECORDED
    assert metrics_in(rule["expr"])


@pytest.mark.parametrize("rule", ALERTS, ids=name_of)
def test_an_alert_says_how_bad_it_is_what_to_do_and_where_more_is_written(
    rule: dict[str, Any],
) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    page, anchor = rule["annotations"]["runbook"].split("#")
    assert Path(page) == DOCUMENT
    assert anchor == rule["alert"].lower()
    assert f"### {rule['alert']}\n" in DOCUMENT.read_text()


def test_the_document_has_no_alert_that_is_gone() -> None:
    headings = re.findall(r"^### (DitServe\w+)$", DOCUMENT.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in ALERTS)
