"""The table of metrics in docs/monitoring.md: as it should be, as it is, and how it is written."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from deployments.metrics_text import metrics_text
from tests.monitoring.registry import MODEL, metrics_of_everything

DOCUMENT = Path("docs/monitoring.md")
BEGIN, END = "<!-- metrics: begin -->\n", "<!-- metrics: end -->"


def of_the_registry() -> str:
    """A row for each metric, by name, as a scrape shows it."""
    text = metrics_text([MODEL.name], {MODEL.name: metrics_of_everything()}).decode()
    rows = {}
    for family in text_string_to_metric_families(text):
        if family.name.endswith("_created"):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        order = [label for label in ("model", "pool", "tier") if label in labels]
        order += sorted(labels - set(order))
        cells = (f"`{name}`", family.type, " ".join(f"`{label}`" for label in order))
        rows[name] = f"| {' | '.join(cells)} | {family.documentation} |\n"
    head = "| metric | kind | labels | what it is |\n|---|---|---|---|\n"
    return head + "".join(rows[name] for name in sorted(rows))


def documented() -> str:
    text = DOCUMENT.read_text()
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)]


def write(table: str) -> None:
    """Puts the table into the document, between its two marks."""
    text = DOCUMENT.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    DOCUMENT.write_text(before + table + after)
