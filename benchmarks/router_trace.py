"""The traces of the router's benchmarks: the simulator's, with all seconds scaled alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from cluster.config import ModelConfig
from cluster.pool import PoolConfig
from cluster.simulator.fleet import ENDLESS_LINE, Fleet, replicas_from_start
from cluster.simulator.table_costs import TableCosts
from cluster.simulator.trace_names import parse_trace_name
from cluster.simulator.traces import Trace

POOL = "pool"


@dataclass(frozen=True)
class ScaledTrace:
    """A trace of the simulator in which a second lasts `scale` seconds.

    `text` spells it as `dit-serve simulate --trace` does; its load is meant for `replicas`.
    """

    text: str
    scale: float
    replicas: int
    requests: int

    @cached_property
    def trace(self) -> Trace:
        named = parse_trace_name(self.text)
        kinds = tuple(replace(kind, none_s=self.scale * kind.none_s) for kind in named.kinds)
        return replace(named, kinds=kinds).trace(self.requests, self.replicas)

    @property
    def costs(self) -> TableCosts:
        """What every kind of job takes in every tier."""
        return TableCosts(self.trace.kinds, {POOL: 1.0})


def one_pool(name: str, replicas: int) -> ModelConfig:
    """A model with one pool of equal replicas on CPUs, all tiers, and a line without bound."""
    scaling = {"min_replicas": replicas, "max_replicas": replicas}
    pool = {"name": POOL, "device": "cpu", "dtype": "float32", "autoscaling": scaling}
    return ModelConfig.model_validate(
        {
            "name": name,
            "source": "none",
            "max_queued": ENDLESS_LINE,
            "max_backlog_s": ENDLESS_LINE,
            "pools": [PoolConfig.model_validate(pool)],
        }
    )


def fleet(model: ModelConfig, replicas: int) -> Fleet:
    """That model's replicas, as the simulator takes them."""
    return Fleet(model, {POOL: 1.0}, (replicas_from_start(POOL, replicas),))
