"""Alert rules speak of metrics that a router exports, and fire on what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cluster.config import ModelConfig
from deployments.metrics import RouterMetrics, exposition

RULES = [
    rule
    for file in sorted(Path("helm/dit-serve/rules").glob("*.yaml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]

MODEL = ModelConfig.model_validate(
    {
        "name": "shapes",
        "source": "somewhere",
        "pools": [{"name": "p", "tiers": {"none": {}, "medium": {"min_psnr_db": 40.0}}}],
    }
)


def test_there_are_rules() -> None:
    assert RULES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_speaks_of_metrics_that_are_exported(rule: dict[str, str]) -> None:
    text = exposition([RouterMetrics(MODEL).now(0, {})]).decode()
    for metric in re.findall(r"dit_serve_\w+", rule["expr"]):
        assert f"# TYPE {metric} " in text


def test_the_contract_and_the_audits_stand_under_the_same_labels() -> None:
    metrics = RouterMetrics(MODEL)
    metrics.audited("p", "medium", psnr_db=35.0, speedup=1.5)
    text = exposition([metrics.now(0, {})]).decode()
    where = '{model="shapes",pool="p",tier="medium"}'
    assert f"dit_serve_tier_min_psnr_db{where} 40.0" in text
    assert f"dit_serve_tier_psnr_db{where} 35.0" in text


def test_the_newest_audit_moves_the_mean_by_a_part() -> None:
    metrics = RouterMetrics(MODEL)
    metrics.audited("p", "medium", psnr_db=40.0, speedup=2.0)
    metrics.audited("p", "medium", psnr_db=30.0, speedup=1.0)
    text = exposition([metrics.now(0, {})]).decode()
    where = '{model="shapes",pool="p",tier="medium"}'
    assert f"dit_serve_tier_psnr_db{where} 38.0" in text
    assert f"dit_serve_tier_speedup{where} 1.8" in text
    assert f"dit_serve_audits_total{where} 2.0" in text
