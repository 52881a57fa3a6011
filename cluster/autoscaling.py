"""How many replicas a pool should have, from forecast work.

The router tells the demand, Serve acts; here is the decision between the two.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, repeat

from cluster.pool import Autoscaling

STALE_S = 15.0
"""How long a router's word counts. A router that died speaks again within it."""


@dataclass(frozen=True)
class PoolDemand:
    """What the router knows of a pool.

    `work_per_s` is the forecast of replica-seconds that arrive for the pool per second, `backlog_s`
    that of replica-seconds that wait or are left of running jobs: more than 0 as long as one runs.
    `waiting` counts the requests that wait for this pool. `load_s` is how long a replica takes to
    load: as measured, or `cold_start_s` until one was. `told_s` is when this was said, on the
    router's clock; it only tells one word from the next, so clocks need not agree.
    """

    work_per_s: float
    backlog_s: float
    waiting: int
    load_s: float
    told_s: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> PoolDemand:
        """The demand in a text of `to_json`."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Memory:
    """What one decision leaves to the next. Times are on the clock of the caller, in seconds.

    There was work until `worked_s`. The router's last word, marked `told_s`, came at `heard_s`.
    Replicas were ordered at `orders`, the newest last. Since `fewer_since_s` at most `fewer` would
    have done, which is less than there are.
    """

    worked_s: float
    told_s: float | None = None
    heard_s: float = -math.inf
    orders: tuple[float, ...] = ()
    fewer_since_s: float = math.inf
    fewer: int = 0

    def with_none_too_many(self) -> Memory:
        """The same, now that there are no more replicas than there should be."""
        return replace(self, fewer_since_s=math.inf, fewer=0)


@dataclass(frozen=True)
class Decision:
    """How many replicas there should be, why, and what to remember."""

    replicas: int
    reason: str
    memory: Memory


def wanted_replicas(
    demand: PoolDemand | None,
    scaling: Autoscaling,
    running: int,
    ordered: int,
    memory: Memory,
    now_s: float,
) -> Decision:
    """The replicas that a pool should have, of which `ordered` run or load and `running` run.

    Up goes at once, to what `needed_replicas` says. Down goes after `downscale_delay_s` in which
    fewer were needed, to the most that were needed in that time: noise in the demand moves nothing.
    To zero, where `min_replicas` is 0, goes after `idle_to_zero_s` without work, and only a request
    that waits ends it. While the router is silent (it has said nothing for `STALE_S`, or ever) all
    stays as it is.
    """
    if demand is not None and demand.told_s != memory.told_s:
        memory = replace(memory, told_s=demand.told_s, heard_s=now_s)
    if demand is None or now_s - memory.heard_s > STALE_S:
        memory = replace(memory, worked_s=now_s).with_none_too_many()
        return Decision(_within(scaling, ordered), "the router is silent", memory)
    if demand.waiting or demand.backlog_s > 0:
        memory = replace(memory, worked_s=now_s)
    elif scaling.min_replicas == 0 and now_s - memory.worked_s >= scaling.idle_to_zero_s:
        reason = f"no work for {scaling.idle_to_zero_s:g} s"
        return Decision(0, reason, memory.with_none_too_many())
    if ordered == 0 and not demand.waiting and scaling.min_replicas == 0:
        return Decision(0, "nothing waits", memory)
    needed = needed_replicas(demand, scaling, running, ordered, memory.orders, now_s)
    wanted = _within(scaling, max(1, needed))
    if wanted < ordered:
        return _down(scaling, wanted, ordered, memory, now_s)
    orders = (*memory.orders, *[now_s] * (wanted - ordered))[-scaling.max_replicas :]
    return Decision(wanted, _told(demand), replace(memory, orders=orders).with_none_too_many())


def needed_replicas(
    demand: PoolDemand,
    scaling: Autoscaling,
    running: int,
    ordered: int,
    orders: Sequence[float],
    now_s: float,
) -> int:
    """The fewest replicas that are enough, before bounds.

    Enough do, in `span_s = load_s + catch_up_s`, what waits and what arrives until then:
    `backlog_s + work_per_s x span_s`. Of that time one that runs works all, one that is ordered now
    only `catch_up_s`, and one that was ordered before something between. And enough are busy with
    what arrives for no more than `target_utilisation` of the time. Whether one is taken away is
    asked by the same rule, so that it is not ordered again at once.

    In any case no more than run or are waited for, since one job is done by one replica: a few long
    jobs do not make a rate. The balance takes work for a fluid, which it is where jobs are short
    against `catch_up_s`.
    """
    span_s = demand.load_s + scaling.catch_up_s
    loading = orders[max(0, len(orders) - max(0, ordered - running)) :]
    works_s = chain(
        repeat(span_s, running),
        (scaling.catch_up_s + min(now_s - order_s, demand.load_s) for order_s in loading),
        repeat(scaling.catch_up_s),
    )
    left_s = demand.backlog_s + demand.work_per_s * span_s
    enough = 0
    while left_s > 0 and enough < scaling.max_replicas:
        left_s -= next(works_s)
        enough += 1
    steady = math.ceil(demand.work_per_s / scaling.target_utilisation)
    return min(max(steady, enough), running + demand.waiting)


def _down(
    scaling: Autoscaling, wanted: int, ordered: int, memory: Memory, now_s: float
) -> Decision:
    """Fewer are wanted than there are: after a while of that, and not before."""
    since_s = min(now_s, memory.fewer_since_s)
    fewer = max(wanted, memory.fewer)
    reason = f"{fewer} would do, for {now_s - since_s:.1f} s now"
    if now_s - since_s < scaling.downscale_delay_s:
        return Decision(ordered, reason, replace(memory, fewer_since_s=since_s, fewer=fewer))
    return Decision(fewer, reason, memory.with_none_too_many())


def _within(scaling: Autoscaling, replicas: int) -> int:
    return min(scaling.max_replicas, max(scaling.min_replicas, replicas))


def _told(demand: PoolDemand) -> str:
    return (
        f"{demand.waiting} wait, {demand.backlog_s:.1f} s of work are to be done, "
        f"{demand.work_per_s:.2f} s arrive each second, a replica loads for {demand.load_s:.1f} s"
    )
