"""Grafana's JSON: panels, rows and variables as plain values. Knows nothing of dit-serve.

Grafana has no schema to check against offline; the fields are those that Grafana 11 itself writes
when it exports a dashboard (schemaVersion 39), without those that repeat a default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 24
"""Columns of a dashboard."""

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Query:
    """An expression in PromQL, and the name of each of its series."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A panel: a chart over time, or with `now` one number for each series.

    `unit` is Grafana's name of it. `steps` are thresholds, each from a value on. Series whose name
    matches `dashed` are drawn as dashed lines, for limits.
    """

    title: str
    description: str
    queries: Sequence[Query]
    unit: str = "short"
    width: int = 8
    now: bool = False
    stacked: bool = False
    dashed: str | None = None
    least: float | None = 0.0
    most: float | None = None
    steps: Sequence[tuple[float | None, str]] = field(default=((None, "green"),))


@dataclass(frozen=True)
class Row:
    """A heading, and the panels under it from left to right."""

    title: str
    panels: Sequence[Panel]


def variable(name: str, label: str, values: str) -> dict[str, Any]:
    """A choice of some values, all at first; `values` is a query such as `label_values(...)`."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "definition": values,
        "query": {"query": values, "refId": f"variable-{name}"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
    }


def source_variable() -> dict[str, Any]:
    """The choice of a Prometheus."""
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "current": {},
        "options": [],
    }


def dashboard(
    uid: str, title: str, description: str, variables: Sequence[dict[str, Any]], rows: Sequence[Row]
) -> dict[str, Any]:
    """The whole document, to be imported or provisioned."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["dit-serve"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": list(variables)},
        "panels": list(_placed(rows)),
    }


def _placed(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Rows one below the other; a panel that does not fit beside the last begins a new line."""
    number = top = 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
            "panels": [],
        }
        top, left, line = top + 1, 0, 0
        for panel in row.panels:
            number += 1
            height = 4 if panel.now else 8
            if left + panel.width > WIDTH:
                top, left, line = top + line, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": height}
            yield {"id": number, "gridPos": place, **_shown(panel)}
            left, line = left + panel.width, max(line, height)
        top += line


def _shown(panel: Panel) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": _SOURCE,
            "editorMode": "code",
            "expr": query.expr,
            "legendFormat": query.legend,
            "range": not panel.now,
            "instant": panel.now,
        }
        for index, query in enumerate(panel.queries)
    ]
    return {
        "type": "stat" if panel.now else "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _options(panel),
        "targets": targets,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in panel.steps],
        },
        "color": {"mode": "thresholds" if panel.now else "palette-classic"},
    }
    if panel.least is not None:
        defaults["min"] = panel.least
    if panel.most is not None:
        defaults["max"] = panel.most
    if not panel.now:
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 25 if panel.stacked else 8,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if len(panel.steps) > 1 else "off"},
        }
    return defaults


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    if panel.dashed is None:
        return []
    dashed = {
        "custom.lineStyle": {"fill": "dash", "dash": [8, 8]},
        "custom.fillOpacity": 0,
        "custom.stacking": {"mode": "none", "group": "limits"},
    }
    return [
        {
            "matcher": {"id": "byRegexp", "options": f"/{panel.dashed}/"},
            "properties": [{"id": name, "value": value} for name, value in dashed.items()],
        }
    ]


def _options(panel: Panel) -> dict[str, Any]:
    if panel.now:
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "textMode": "auto",
        }
    return {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull", "max"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
