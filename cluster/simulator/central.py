"""Policies with one line for all replicas: a job is bound to one only when it is free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection

from cluster.config import ModelConfig
from cluster.cost import Costs
from cluster.errors import DitServeError
from cluster.job import Job
from cluster.routing import Dispatch
from cluster.simulator.menus import Menus
from cluster.simulator.orders import Order
from cluster.simulator.tier_rules import Outlook, TierRule


class CentralLine:
    """A line in a given order. Nobody is refused; the tier is chosen when a job begins.

    Where pools serve different tiers, those who accept the same pools stand in one order, and the
    next is the first of all orders that a free replica can serve.
    """

    def __init__(
        self, model: ModelConfig, costs: Costs, rule: TierRule, order: Callable[[], Order]
    ) -> None:
        self._menus = Menus(model, costs)
        self._rule = rule
        self._new_order = order
        self._orders: dict[frozenset[str], Order] = {}
        self._count = 0
        self._running: dict[str, frozenset[str]] = {pool.name: frozenset() for pool in model.pools}
        self._free: dict[str, deque[str]] = {pool.name: deque() for pool in model.pools}

    def replicas_changed(self, pool: str, running: Collection[str], now_s: float) -> None:
        before, after = self._running[pool], frozenset(running)
        new = [replica for replica in running if replica not in before]
        self._running[pool] = after
        self._free[pool] = deque([each for each in self._free[pool] if each in after] + new)

    def arrive(self, job: Job, now_s: float) -> DitServeError | None:
        waiting = self._menus.waiting(job, now_s)
        pools = frozenset(waiting.offers)
        if pools not in self._orders:
            self._orders[pools] = self._new_order()
        self._orders[pools].add(waiting)
        self._count += 1
        return None

    def next_dispatch(self, now_s: float) -> Dispatch | None:
        free = {pool for pool, replicas in self._free.items() if replicas}
        heads = [
            (key, pools)
            for pools, order in self._orders.items()
            if not free.isdisjoint(pools) and (key := order.first(now_s)) is not None
        ]
        if not heads:
            return None
        _, pools = min(heads)
        waiting = self._orders[pools].take()
        queued = self._count / sum(map(len, self._running.values()))
        self._count -= 1
        pool = min(pools & free, key=lambda each: (waiting.offers[each].least_s, each))
        choices = self._menus.choices(waiting, pool)
        tier, forecast = self._rule(choices, Outlook(waiting.due_s - now_s, queued))
        return Dispatch(
            waiting=waiting,
            pool=pool,
            replica=self._free[pool].popleft(),
            tier=tier,
            forecast=forecast,
            reason="first in the order",
        )

    def finished(self, dispatch: Dispatch, now_s: float) -> None:
        if dispatch.replica in self._running[dispatch.pool]:
            self._free[dispatch.pool].append(dispatch.replica)
