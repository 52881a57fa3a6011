"""The dashboard is what its program writes, and asks for metrics that there are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helm import dashboard
from tests.monitoring.promql import dashboard_queries, metrics_in, substituted
from tests.monitoring.registry import metrics_of_everything

DOCUMENT: dict[str, Any] = json.loads(dashboard.FILE.read_text())
PANELS = [panel for panel in DOCUMENT["panels"] if panel["type"] != "row"]


def test_the_file_is_what_the_program_writes() -> None:
    assert dashboard.FILE.read_text() == dashboard.text(), "run `python -m helm.dashboard`"


def test_every_query_speaks_of_metrics_that_are_exported() -> None:
    exported = {sample.name for metric in metrics_of_everything() for sample in metric.samples}
    exported |= {"dit_serve_build_info", "dit_serve_router_up"}
    for title, expr in dashboard_queries(DOCUMENT):
        assert metrics_in(expr) <= exported, title
        assert metrics_in(substituted(expr)), title


def test_every_metric_is_on_the_dashboard() -> None:
    asked = {name for _, expr in dashboard_queries(DOCUMENT) for name in metrics_in(expr)}
    for metric in metrics_of_everything():
        if metric.name != "dit_serve_audit_fraction":
            assert any(name.startswith(metric.name) for name in asked), metric.name


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert all(target["legendFormat"] for target in panel["targets"])


def test_panels_have_numbers_of_their_own_and_do_not_lie_on_each_other() -> None:
    panels = DOCUMENT["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
