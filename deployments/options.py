"""The Serve options of each kind of deployment.

Names, resources, and how long a replica may take to stop.
"""

from __future__ import annotations

from typing import Any

from cluster.config import ModelConfig
from cluster.pool import PoolConfig
from placement.bundles import GroupPlan, plan_group

GATEWAY = "gateway"
DRAIN_S = 3600.0
"""A stopping replica may finish its job; no job is longer than this."""

_CONTROL_CPUS = 0.05
"""Gateway and router only pass calls on; they wait far more than they work."""


def router_name(model: ModelConfig) -> str:
    return f"router-{model.name}"


def pool_name(model: ModelConfig, pool: PoolConfig) -> str:
    return f"pool-{model.name}-{pool.name}"


def pool_group(pool: PoolConfig) -> GroupPlan:
    """The placement group of one replica of a pool."""
    return plan_group(pool.num_ranks, pool.cpus_per_rank, pool.gpus, pool.ranks_per_node)


def gateway_options() -> dict[str, Any]:
    return {
        "name": GATEWAY,
        "num_replicas": 1,
        "max_ongoing_requests": 100_000,
        "ray_actor_options": {"num_cpus": _CONTROL_CPUS},
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": DRAIN_S,
    }


def router_options(model: ModelConfig) -> dict[str, Any]:
    return gateway_options() | {"name": router_name(model)}


def pool_options(model: ModelConfig, pool: PoolConfig) -> dict[str, Any]:
    """The options of a pool's deployment.

    The replica process runs in bundle 0; the ranks of a group are placed by it in the others.
    One job at a time reaches a replica by the router's choice; the other slots are for `stop`
    calls. Serve looks every second whether a replica has died: its default of ten would be most of
    the time that a new one takes. A pool with room to scale grows when its replicas are busy more
    than seven tenths of the time.
    """
    group = pool_group(pool)
    options: dict[str, Any] = {
        "name": pool_name(model, pool),
        "max_ongoing_requests": 8,
        "ray_actor_options": {
            "num_cpus": group.bundles[0]["CPU"],
            "num_gpus": group.bundles[0].get("GPU", 0),
        },
        "placement_group_bundles": [dict(bundle) for bundle in group.bundles],
        "placement_group_strategy": group.strategy,
        "request_router_config": {
            "request_router_class": "deployments.dispatch:NamedReplicaRouter"
        },
        "health_check_period_s": 1.0,
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": DRAIN_S,
    }
    scaling = pool.autoscaling
    if scaling.min_replicas == scaling.max_replicas:
        return options | {"num_replicas": scaling.min_replicas}
    return options | {
        "autoscaling_config": {
            "min_replicas": scaling.min_replicas,
            "max_replicas": scaling.max_replicas,
            "target_ongoing_requests": 0.7,
        }
    }
