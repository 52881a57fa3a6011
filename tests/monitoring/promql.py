"""What an expression in PromQL reads, and whether a Prometheus has it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Series = Sequence[Mapping[str, Any]]
"""Of an instant query: each with `metric`, its labels, and `value`, a time and a number as text."""

Ask = Callable[[str], Series]

VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "5m",
    "$namespace": ".*",
    "$model": ".*",
    "$pool": ".*",
}
"""What Grafana puts in the place of these; ".*" is its All."""

_METRIC = r"(?:\w+:)?dit_serve_\w+(?::\w+)?"
_SELECTOR = re.compile(rf"(?<![\w:])({_METRIC})(\{{[^}}]*\}})?")
_GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
_VALUES_OF = re.compile(r"label_values\((.*), (\w+)\)")

ONLY_IN_A_CLUSTER = {"namespace"}
"""Labels that Prometheus adds where it finds its targets in Kubernetes."""


def metrics_in(expr: str) -> set[str]:
    """The names of dit-serve's metrics, recorded ones too."""
    return {name for name, _ in _SELECTOR.findall(expr)}


def dashboard_queries(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The title of the panel and the expression, of each query."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def substituted(expr: str) -> str:
    """An expression with values in place of Grafana's variables."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


def has_data(found: Series) -> bool:
    """At least one number."""
    return any(not math.isnan(float(each["value"][1])) for each in found)


def empty_queries(dashboard: Mapping[str, Any], ask: Ask) -> list[str]:
    """A line for each query of a dashboard, and each of its variables, that finds nothing."""
    faults = [
        f"{title}: {expr}"
        for title, expr in dashboard_queries(dashboard)
        if not has_data(ask(substituted(expr)))
    ]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = _VALUES_OF.fullmatch(variable["definition"])
            assert found is not None, variable["definition"]
            if not any(found[2] in each["metric"] for each in ask(substituted(found[1]))):
                faults.append(f"variable {variable['name']}: {variable['definition']}")
    return faults


def unknown_parts(expr: str, ask: Ask) -> list[str]:
    """A line for each selector of a rule that finds no series, and each label that none has.

    A rule's own expression finds nothing as long as nothing is wrong.
    """
    faults, labels = [], set(ONLY_IN_A_CLUSTER)
    for name, matchers in _SELECTOR.findall(expr):
        found = ask(name + matchers)
        labels |= {label for each in found for label in each["metric"]}
        if not found:
            faults.append(f"no series: {name}{matchers}")
    for group in _GROUPING.findall(expr):
        missing = set(re.findall(r"\w+", group)) - labels
        faults += [f"no series has the label {label}: {expr}" for label in sorted(missing)]
    return faults
