"""How simulated policies are shown: two tables per trace, the policies side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich import box
from rich.table import Table

from cluster.simulator.comparison import PolicySummary, Spread, summaries
from cluster.simulator.fleet import Fleet
from cluster.simulator.results import RunResult

NOTES = (
    "Medians over seeds. in time: done within the deadline, of all; over seeds: least and most. "
    "times: misses, as a multiple of the first policy's. breaches: served under the floor. "
    "goodput: quality index served in time, over all requests; quality: of those served. "
    "busy: of the replicas' time. tiers: percent none/slow/medium/fast/ultra of those served."
)

_POLICY_WIDTH = 22
"""Leaves room for all numbers in a terminal of 80 columns."""


def report(fleet: Fleet, runs: Sequence[RunResult]) -> Iterator[Table | str]:
    """The replicas, the tables, what their columns mean, and what each caller got."""
    found = summaries(runs)
    yield f"{fleet.label}; {len({run.seed for run in runs})} seeds"
    for trace, policies in groupby(found, key=lambda summary: summary.trace):
        yield from _tables(trace, list(policies))
    yield NOTES
    yield from _caller_lines(found)


def _tables(trace: str, policies: Sequence[PolicySummary]) -> Iterator[Table | str]:
    kept = _table(trace, "in time %", "over seeds", "misses", "times", "refused", "breaches")
    work = _table(None, "goodput", "quality", "p50 s", "p95 s", "p99 s", "busy %", "tiers")
    for summary in policies:
        metrics, times = summary.metrics, summary.times_misses
        kept.add_row(
            _named(summary.policy),
            _median(metrics["attainment"], ".2f", 100),
            _range(metrics["attainment"]),
            _median(metrics["misses"], ".0f"),
            "-" if times is None else f"{times:.2f}",
            _median(metrics["refused"], ".0f"),
            _median(metrics["floor_breaches"], ".0f"),
        )
        work.add_row(
            _named(summary.policy),
            _median(metrics["quality_goodput"], ".4f"),
            _median(metrics["mean_quality"], ".3f"),
            _median(metrics["latency_p50_s"], ".1f"),
            _median(metrics["latency_p95_s"], ".1f"),
            _median(metrics["latency_p99_s"], ".1f"),
            _median(metrics["utilisation"], ".1f", 100),
            "/".join(f"{100 * share:.0f}" for share in summary.tiers.values()),
        )
    yield from (kept, "", work, "")


def _table(title: str | None, *headings: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,
    )
    table.add_column("policy", max_width=_POLICY_WIDTH)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _named(policy: str) -> str:
    return policy if len(policy) <= _POLICY_WIDTH else policy.replace("+", "\n+")


def _caller_lines(found: Sequence[PolicySummary]) -> Iterator[str]:
    for summary in found:
        if len(summary.caller_attainment) > 1:
            callers = ", ".join(
                f"{caller} {_median(spread, '.2f', 100)} %"
                for caller, spread in summary.caller_attainment.items()
            )
            yield f"{summary.trace} {summary.policy}: in time by caller: {callers}"


def _range(spread: Spread | None) -> str:
    return "-" if spread is None else f"{100 * spread.least:.2f}-{100 * spread.most:.2f}"


def _median(spread: Spread | None, form: str, factor: float = 1) -> str:
    return "-" if spread is None else format(factor * spread.median, form)
