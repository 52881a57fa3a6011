"""A scheduler of the tests, told by hand what happens: its replicas, and what it sends."""

from __future__ import annotations

from cluster.config import ModelConfig
from cluster.routing import Dispatch
from cluster.scheduler import Scheduler
from tests.unit.cluster.jobs import job
from tests.unit.cluster.pools import TableCosts, model_of, pool

ONE_POOL = model_of(pool("p"))


def scheduler(
    model: ModelConfig = ONE_POOL, costs: TableCosts | None = None, **replicas: int
) -> Scheduler:
    """With so many replicas of each pool, all free."""
    it = Scheduler(model, costs or TableCosts())
    for name, count in (replicas or {"p": 1}).items():
        it.replicas_changed(name, [f"{name}-{number}" for number in range(count)], 0.0)
    return it


def sent(it: Scheduler, now_s: float = 0.0) -> Dispatch:
    dispatch = it.next_dispatch(now_s)
    assert dispatch is not None
    return dispatch


def id_of(dispatch: Dispatch | None) -> str | None:
    return dispatch.waiting.job.request_id if dispatch else None


def keep_busy(it: Scheduler, now_s: float = 0.0) -> Dispatch:
    """Sends a job of 8 seconds."""
    assert it.arrive(job("busy", tier_requested="none"), now_s) is None
    return sent(it, now_s)
