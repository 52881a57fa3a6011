"""How a plan is shown: a table of pools, and a line for each question that was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.table import Table

from deployments.planning import CARD_MARGIN, PoolPlan
from placement.bundles import GroupPlan
from placement.capacity import Fit


def plan_table(plans: Sequence[PoolPlan]) -> Table:
    """A row per pool."""
    table = Table(
        "model",
        "pool",
        "shape",
        "ranks",
        "bundles",
        "strategy",
        "replicas",
        "GB per rank",
        "tiers",
    )
    for plan in plans:
        table.add_row(
            plan.model.name,
            plan.pool.name,
            plan.pool.dims.label,
            str(plan.pool.num_ranks),
            _bundles(plan.group),
            plan.group.strategy,
            plan.replicas,
            _memory(plan),
            " ".join(plan.pool.tiers),
        )
    return table


def memory_notes(plans: Sequence[PoolPlan]) -> Iterator[str]:
    """What the memory column means, and why a cell says unknown."""
    if any(plan.memory for plan in plans):
        yield (
            "GB per rank: weights + estimated activations at the stage that holds most, "
            "for the largest request within the limits"
        )
    for reason in dict.fromkeys(plan.unknown for plan in plans if plan.unknown):
        yield f"memory unknown: {reason}"


def card_lines(plans: Sequence[PoolPlan], gpu_memory_gb: float) -> Iterator[str]:
    """Whether each pool's ranks fit on a card, in numbers."""
    for plan in plans:
        if plan.memory is None or plan.pool.device != "cuda":
            continue
        usable = min(1.0, plan.pool.gpus) * gpu_memory_gb * CARD_MARGIN
        over = plan.overflow_bytes(gpu_memory_gb)
        yield (
            f"{plan.model.name}/{plan.pool.name}: a rank "
            f"{'does not fit' if over else 'fits'}: {_gb(plan.memory.peak_bytes)} GB of the "
            f"{usable:.1f} GB that may be filled of {gpu_memory_gb:g} GB"
            + (f", {_gb(over)} GB too many" if over else "")
        )


def fit_line(fit: Fit, nodes: int) -> str:
    """Whether the least replicas of all pools fit on the nodes."""
    where = f"{nodes} node{'' if nodes == 1 else 's'}"
    if fit.ok:
        return f"fits on {where}, if nothing else runs there"
    return f"does not fit on {where}: {fit.shortfall}"


def _bundles(group: GroupPlan) -> str:
    counts = Counter(
        ", ".join(f"{name} {amount:g}" for name, amount in bundle.items())
        for bundle in group.bundles
    )
    return " + ".join(f"{count} x {{{bundle}}}" for bundle, count in counts.items())


def _memory(plan: PoolPlan) -> str:
    if plan.memory is None:
        return "unknown"
    stage = plan.memory.stages[plan.memory.peak_stage]
    return (
        f"{_gb(stage.weight_bytes)} + {_gb(stage.activation_bytes)} "
        f"= {_gb(stage.total_bytes)} ({plan.memory.peak_stage})"
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:.3f}" if 0 < size < 5e7 else f"{size / 1e9:.1f}"
