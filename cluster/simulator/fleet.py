"""The replicas of a simulated model: pools, their speeds, and changes over time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.config import ModelConfig
from cluster.pool import PoolConfig

ENDLESS_LINE = 10**9
"""`max_queued` and `max_backlog_s` of a model whose line has no bound."""


@dataclass(frozen=True)
class FleetChange:
    """From `at_s` on exactly these replicas of a pool run. One that ends with a job finishes it.

    A name is not used again for another replica.
    """

    at_s: float
    pool: str
    running: tuple[str, ...]


@dataclass(frozen=True)
class Fleet:
    """A model, the speed of a replica of each of its pools, and who runs when.

    `speeds` are relative to the replica for which the seconds of kinds hold. `changes` begin with
    those at 0 s.
    """

    model: ModelConfig
    speeds: dict[str, float]
    changes: tuple[FleetChange, ...]

    @property
    def label(self) -> str:
        """ "pool: 8 replicas of speed 1"."""
        return ", ".join(
            f"{change.pool}: {len(change.running)} replicas of speed {self.speeds[change.pool]:g}"
            for change in self.changes
            if change.at_s == 0
        )

    @property
    def capacity(self) -> float:
        """Replicas at 0 s, each counted by its speed: seconds of `none` work done in a second."""
        return sum(
            self.speeds[change.pool] * len(change.running)
            for change in self.changes
            if change.at_s == 0
        )


def equal_replicas(replicas: int) -> Fleet:
    """One pool of so many replicas of speed 1, with all tiers and a line without bound."""
    pool = PoolConfig(name="pool")
    model = ModelConfig(name="simulated", source="none", max_queued=ENDLESS_LINE, pools=(pool,))
    return Fleet(model, {pool.name: 1.0}, (replicas_from_start(pool.name, replicas),))


def fleet_of(model: ModelConfig, efficiency: float, replicas: int | None = None) -> Fleet:
    """The pools of a config, each with `replicas`, or with its own least number and at least one.

    A replica of several ranks is `num_ranks * efficiency` times as fast as one of one rank.
    """
    return Fleet(
        model,
        {
            pool.name: 1.0 if pool.num_ranks == 1 else pool.num_ranks * efficiency
            for pool in model.pools
        },
        tuple(
            replicas_from_start(pool.name, replicas or max(1, pool.autoscaling.min_replicas))
            for pool in model.pools
        ),
    )


def replicas_from_start(pool: str, replicas: int) -> FleetChange:
    """So many replicas of a pool, at 0 s."""
    return FleetChange(0.0, pool, replica_names(pool, range(replicas)))


def replica_names(pool: str, numbers: Iterable[int]) -> tuple[str, ...]:
    """The names of a pool's replicas with these numbers."""
    return tuple(f"{pool}-{number}" for number in numbers)
