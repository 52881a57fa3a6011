"""What a model's pools were measured to do, once a replica has said that the table fits it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from cluster.config import ModelConfig
from cluster.cost import CostModel
from cluster.measured_tiers import PoolMeasurements, TiersTable, why_stale
from cluster.tier_lessons import teach
from deployments.pool_calls import PoolCalls

logger = logging.getLogger("ray.serve")


class MeasuredPools:
    """The table of a model, and which of its pools it speaks of."""

    def __init__(
        self, model: ModelConfig, table: TiersTable | None, costs: CostModel, pools: PoolCalls
    ) -> None:
        self._model = model
        self._table = table
        self._costs = costs
        self._pools = pools
        self._known: dict[str, PoolMeasurements] = {}
        self._asked: set[str] = set()

    def published(self) -> Mapping[str, PoolMeasurements]:
        """By pool."""
        nobody = "no replica has said yet what it runs on"
        unknown = PoolMeasurements(refused=self._sentence(nobody) if self._table else None)
        return {pool.name: self._known.get(pool.name, unknown) for pool in self._model.pools}

    async def meet(self, pool: str, replicas: Sequence[str]) -> None:
        """Asks a replica of the pool, once, what it runs on, and learns the rows that fit.

        What does not fit is logged and not used. If the replica dies over it, the next one is
        asked.
        """
        if self._table is None or pool in self._asked:
            return
        self._asked.add(pool)
        for replica in replicas:
            platform = await self._pools.platform(pool, replica)
            if platform is None:
                continue
            config = self._model.pool_named(pool)
            stale = why_stale(self._table, self._model, config, platform.versions, platform.device)
            self._known[pool] = self._measurements(self._table, pool, stale)
            return
        self._asked.discard(pool)

    def _measurements(self, table: TiersTable, pool: str, stale: str | None) -> PoolMeasurements:
        if stale is not None:
            refused = self._sentence(stale)
            logger.warning("%s/%s: %s", self._model.name, pool, refused)
            return PoolMeasurements(refused=refused)
        rows = table.rows_of(self._model.name, pool)
        teach(self._costs, rows)
        logger.info(
            "%s/%s: %d rows of %s are the first forecasts",
            self._model.name,
            pool,
            len(rows),
            self._model.tiers_table,
        )
        return PoolMeasurements(rows, table.made_at, table.platform.device)

    def _sentence(self, reason: str) -> str:
        return f"{self._model.tiers_table} is not used: {reason}"
