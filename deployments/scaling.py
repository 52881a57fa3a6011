"""Serve's autoscaling of pools by the router's forecast: the policy, and how it hears the router.

The router's word lies in the key-value store of Ray's GCS. Serve's controller asks the policy there
whether or not a replica runs; it finds the last word again after its own death or the router's.
Serve pickles this module by value and imports what it imports, so it keeps no state of its own and
imports no torch.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from ray import serve
from ray.exceptions import RpcError
from ray.experimental.internal_kv import internal_kv_get_gcs_client
from ray.serve.config import AutoscalingContext

from cluster.autoscaling import Memory, PoolDemand, wanted_replicas
from cluster.pool import Autoscaling

logger = logging.getLogger("ray.serve")

LISTEN_S = 0.5
"""Between two looks at the store. Serve asks ten times a second; a look takes 0.3 ms."""

TELL_S = 1.0
"""Between two words of the router."""

_NAMESPACE = b"dit-serve"
_TIMEOUT_S = 1.0


class ForecastPolicy:
    """The autoscaling policy of a pool, which Serve's controller builds and asks."""

    def __init__(self, **scaling: Any) -> None:
        """`scaling` has the fields of `Autoscaling`."""
        self._scaling = Autoscaling.model_validate(scaling)
        self._memory = Memory(worked_s=time.monotonic())
        self._demand: PoolDemand | None = None
        self._listened_s = -math.inf

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        """The replicas that the pool should have; all memory is this object's own."""
        now_s = time.monotonic()
        if now_s - self._listened_s >= LISTEN_S:
            self._demand = _heard(context.app_name, context.deployment_name) or self._demand
            self._listened_s = time.monotonic()
        ordered = context.target_num_replicas
        decision = wanted_replicas(
            self._demand,
            self._scaling,
            context.current_num_replicas,
            ordered,
            self._memory,
            now_s,
        )
        self._memory = decision.memory
        if decision.replicas != ordered:
            logger.info(
                "%s: from %d to %d replicas: %s",
                context.deployment_name,
                ordered,
                decision.replicas,
                decision.reason,
            )
        return decision.replicas, {}


async def tell_demand(deployment: str, demand: PoolDemand) -> None:
    """Tells the policy of a pool, a deployment of this application, what the router knows.

    To be called from a Serve replica. Takes 0.3 ms, and 0.1 ms of the event loop.

    Raises:
        RpcError: Ray's GCS does not answer.
    """
    await internal_kv_get_gcs_client().async_internal_kv_put(
        _key(serve.get_replica_context().app_name, deployment),
        demand.to_json().encode(),
        True,
        _NAMESPACE,
        _TIMEOUT_S,
    )


async def keep_telling(
    deployments: Mapping[str, str], demand: Callable[[str, float, float], PoolDemand]
) -> None:
    """Tells the demand of pools once a second, and never ends where there are any.

    `deployments` are by pool. `demand` is a pool's at a time of the monotonic clock, said at one of
    the wall clock.
    """
    while deployments:
        for pool, deployment in deployments.items():
            told = demand(pool, time.monotonic(), time.time())
            try:
                await tell_demand(deployment, told)
            except RpcError as error:
                logger.warning("the demand of %s could not be told: %s", deployment, error)
        await asyncio.sleep(TELL_S)


def _heard(app: str, deployment: str) -> PoolDemand | None:
    """The router's last word; None where there is none, or the GCS does not answer."""
    try:
        text = internal_kv_get_gcs_client().internal_kv_get(
            _key(app, deployment), _NAMESPACE, _TIMEOUT_S
        )
    except RpcError as error:
        logger.warning("the demand of %s cannot be read: %s", deployment, error)
        return None
    return None if text is None else PoolDemand.from_json(text)


def _key(app: str, deployment: str) -> bytes:
    return f"demand/{app}/{deployment}".encode()
