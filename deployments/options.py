"""The Serve options of each kind of deployment.

Names, resources, and how long a replica may take to stop.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from cluster.config import ModelConfig
from cluster.pool import Autoscaling, PoolConfig
from placement.bundles import STRICT_PACK, GroupPlan, plan_group

GATEWAY = "gateway"
DRAIN_S = 3600.0
"""A stopping replica may finish its job; no job is longer than this."""

GATEWAY_TIMEOUT_S, ROUTER_TIMEOUT_S, REPLICA_TIMEOUT_S = 5.0, 7.5, 10.0
"""Serve gives up a process that has not answered three times in a row within this time.

Who calls is given up before whom it calls. While a caller hangs, Ray lets a process that has an
answer for it answer nobody: that one would be given up too.
"""

HEALTH_PERIOD_S = 1.0
"""How often Serve looks at a replica, and whether it has died.

Its default of ten would be most of the time that a new one takes.
"""

VARIABLES = {
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1.0",
}
"""For Serve's controller: it kills a replica that it gives up, and looks often at its proxies.

A replica that does not answer cannot stop either: told to, it would keep its callers waiting, and
its cards, for `DRAIN_S`. A proxy counts as dead at the third look: with Serve's ten seconds between
them nobody would listen for half a minute.
"""

_CONTROL_CPUS = 0.05
"""Gateway and router only pass calls on; they wait far more than they work."""

CONTROL_GROUP = GroupPlan(({"CPU": _CONTROL_CPUS},), STRICT_PACK)
"""What one gateway or router asks for."""

_ONE_MORE = 1
"""In percent of a deployment's replicas, which Serve rounds up: one, of a hundred at most."""


def router_name(model: ModelConfig) -> str:
    return f"router-{model.name}"


def pool_name(model: ModelConfig, pool: PoolConfig) -> str:
    return f"pool-{model.name}-{pool.name}"


def scaling_pools(model: ModelConfig) -> dict[str, str]:
    """The deployments of the pools that scale, by the pools' names."""
    return {pool.name: pool_name(model, pool) for pool in model.pools if pool.autoscaling.scales}


def pool_group(pool: PoolConfig) -> GroupPlan:
    """The placement group of one replica of a pool."""
    return plan_group(pool.num_ranks, pool.cpus_per_rank, pool.gpus, pool.ranks_per_node)


def gateway_options(replicas: int) -> dict[str, Any]:
    return {
        "name": GATEWAY,
        "num_replicas": replicas,
        "max_ongoing_requests": 100_000,
        "ray_actor_options": {"num_cpus": _CONTROL_CPUS},
        "health_check_period_s": HEALTH_PERIOD_S,
        "health_check_timeout_s": GATEWAY_TIMEOUT_S,
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": DRAIN_S,
    }


def router_options(model: ModelConfig) -> dict[str, Any]:
    own = {"name": router_name(model), "health_check_timeout_s": ROUTER_TIMEOUT_S}
    return gateway_options(1) | own


def with_surge(options: dict[str, Any], deployments: Collection[str]) -> dict[str, Any]:
    """The options with which Serve, for those deployments, stops no replica before its successor.

    Without the room for one, the successor would wait for ever, and the old one would go on.
    """
    surge = options["name"] in deployments
    return options | {"max_surge_percent": _ONE_MORE if surge else 0}


def pool_options(model: ModelConfig, pool: PoolConfig) -> dict[str, Any]:
    """The options of a pool's deployment.

    The replica process runs in bundle 0; the ranks of a group are placed by it in the others.
    One job at a time reaches a replica by the router's choice; the other slots are for those who
    watch or stop it.
    """
    group = pool_group(pool)
    options: dict[str, Any] = {
        "name": pool_name(model, pool),
        "max_ongoing_requests": 32,
        "ray_actor_options": {
            "num_cpus": group.bundles[0]["CPU"],
            "num_gpus": group.bundles[0].get("GPU", 0),
        },
        "placement_group_bundles": [dict(bundle) for bundle in group.bundles],
        "placement_group_strategy": group.strategy,
        "request_router_config": {
            "request_router_class": "deployments.dispatch:NamedReplicaRouter"
        },
        "health_check_period_s": HEALTH_PERIOD_S,
        "health_check_timeout_s": REPLICA_TIMEOUT_S,
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": DRAIN_S,
    }
    return options | replica_count(pool.autoscaling)


def replica_count(scaling: Autoscaling) -> dict[str, Any]:
    """A fixed number of replicas, or a policy that decides it; Serve's own delays stay out."""
    if not scaling.scales:
        return {"num_replicas": scaling.min_replicas}
    return {
        "autoscaling_config": {
            "min_replicas": scaling.min_replicas,
            "max_replicas": scaling.max_replicas,
            "upscale_delay_s": 0.0,
            "downscale_delay_s": 0.0,
            "policy": {
                "policy_function": "deployments.scaling:ForecastPolicy",
                "policy_kwargs": scaling.model_dump(),
            },
        }
    }
