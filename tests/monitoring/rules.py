"""The chart's rule files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FILES = sorted(Path("helm/dit-serve/rules").glob("*.yaml"))

RULES: list[dict[str, Any]] = [
    rule
    for file in FILES
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]

ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
