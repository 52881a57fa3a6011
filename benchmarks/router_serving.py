"""Real Ray Serve with stand-in replicas: our router, and Serve's own routing in two settings."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import ray
from ray import serve

from benchmarks.router_stand_in import PlainReplica, Slept, TimedReplica
from benchmarks.router_trace import POOL
from cluster.config import ModelConfig
from cluster.cost import Forecast
from cluster.errors import DitServeError
from cluster.job import Job
from cluster.queue import Waiting
from cluster.routing import Dispatch
from cluster.simulator.events import Outcome
from cluster.simulator.table_costs import TableCosts
from cluster.simulator.traces import Arrival
from cluster.tiers import Tier
from deployments.options import pool_options, router_options
from deployments.router import Router, RouterAnswer

BACKOFF_S, BACKOFF_MAX_S = 0.025, 0.5
"""How long Ray Serve 2.60 waits before it looks again for a replica with room: at first, at most.
(`RAY_SERVE_ROUTER_RETRY_*_BACKOFF_S`.) They are scaled like all other seconds."""

ONGOING = {"fifo": 1, "power-of-two": 100_000}
"""Ray Serve's `max_ongoing_requests`, by the simulator's policy that describes its queueing.

With 1 the requests wait in the caller's handle, first come, first served, and the first goes to the
first of two replicas at random that is found free. Without a bound each goes at once to the one of
two replicas at random that has fewer, and waits there.
"""

WARM_UP_JOBS = 3
"""Of each kind in each tier, before anything is measured: a server that has run for a while."""

_FAKE_CPUS = 64
_SOON_S = 0.2


@contextmanager
def own_ray(port: int | None = None) -> Iterator[None]:
    """A Ray and a Serve of our own on this machine; HTTP on a loopback port where one is given.

    Ray reads `RAY_AUTH_MODE` when it is imported; its processes get what was in force then.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        ray.init(
            address="local",
            num_cpus=_FAKE_CPUS,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=folder,
        )
        try:
            http = {"location": "NoServer"} if port is None else {"host": "127.0.0.1", "port": port}
            serve.start(http_options=http)
            yield
            serve.shutdown()
        finally:
            ray.shutdown()


class Serving:
    """Our router and both settings of Serve's own, each with replicas of its own, side by side."""

    def __init__(self, model: ModelConfig, truth: TableCosts, scale: float) -> None:
        """Starts them and waits until they run; `scale` is how long a second lasts."""
        (pool,) = model.pools
        replicas = pool.autoscaling.min_replicas
        pools = {
            POOL: serve.deployment(**pool_options(model, pool))(TimedReplica).bind(truth, pool)
        }
        router = serve.deployment(**router_options(model))(Router).bind(model, 1, pools, tiers=None)
        self._router = serve.run(router, name="ours", route_prefix=None)
        self._plain = {
            policy: serve.run(
                serve.deployment(
                    name=policy,
                    num_replicas=replicas,
                    max_ongoing_requests=ongoing,
                    request_router_config={
                        "initial_backoff_s": scale * BACKOFF_S,
                        "max_backoff_s": scale * BACKOFF_MAX_S,
                    },
                )(PlainReplica).bind(truth, POOL),
                name=policy,
                route_prefix=None,
            )
            for policy, ongoing in ONGOING.items()
        }

    async def warm_up(self, kinds: Sequence[Job]) -> None:
        """Lets the router learn what these jobs take in every tier."""
        for _ in range(WARM_UP_JOBS):
            jobs = [
                replace(job, request_id=f"warm-{number}-{tier}", tier_requested=tier, min_tier=None)
                for number, job in enumerate(kinds)
                for tier in Tier
            ]
            await asyncio.gather(*(self._router.generate.remote(job) for job in jobs))

    async def outcomes(self, policy: str, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Sends each request at its time, whether or not those before it are done.

        Times are those of the caller: from when a request should have been sent.
        """
        order, _, rule = policy.partition("+")
        begun_s = time.monotonic() + _SOON_S
        tasks = []
        for arrival in arrivals:
            await asyncio.sleep(begun_s + arrival.at_s - time.monotonic())
            sent = (
                self._ours(arrival, begun_s)
                if policy == "ours"
                else self._theirs(arrival, begun_s, order, rule or "asked")
            )
            tasks.append(asyncio.create_task(sent))
        return await asyncio.gather(*tasks)

    async def _ours(self, arrival: Arrival, begun_s: float) -> Outcome:
        answer: RouterAnswer = await self._router.generate.remote(arrival.job)
        ended_s = time.monotonic() - begun_s
        if isinstance(answer, DitServeError):
            return Outcome(arrival, answer)
        receipt = answer.receipt
        assert receipt.forecast_s is not None, "the router is warm"
        busy_s = receipt.total_s - receipt.queue_s
        return _done(arrival, Tier(receipt.tier_served), busy_s, receipt.forecast_s, ended_s)

    async def _theirs(self, arrival: Arrival, begun_s: float, order: str, rule: str) -> Outcome:
        due_s = begun_s + arrival.at_s + (arrival.job.deadline_s or 0.0)
        slept: Slept = await self._plain[order].generate.remote(arrival.job, rule, due_s)
        ended_s = time.monotonic() - begun_s
        return _done(arrival, slept.tier, slept.busy_s, slept.busy_s, ended_s)


def _done(
    arrival: Arrival, tier: Tier, busy_s: float, forecast_s: float, ended_s: float
) -> Outcome:
    """What was done, in the simulator's words, so that both are counted in one way."""
    job, at_s = arrival.job, arrival.at_s
    waiting = Waiting(job, at_s, 0, at_s + (job.deadline_s or 0.0), False, True, offers={})
    forecast = Forecast(forecast_s, forecast_s, measured=True)
    dispatch = Dispatch(waiting, POOL, "", tier, forecast, "")
    return Outcome(arrival, None, dispatch, ended_s - busy_s, ended_s)
