"""The Serve options of each kind of deployment.

Names, resources, and how long a replica may take to stop.
"""

from __future__ import annotations

from typing import Any

from cluster.config import ModelConfig
from cluster.pool import Autoscaling, PoolConfig
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


def gateway_options(replicas: int) -> dict[str, Any]:
    return {
        "name": GATEWAY,
        "num_replicas": replicas,
        "max_ongoing_requests": 100_000,
        "ray_actor_options": {"num_cpus": _CONTROL_CPUS},
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": DRAIN_S,
    }


def router_options(model: ModelConfig) -> dict[str, Any]:
    return gateway_options(1) | {"name": router_name(model)}


def pool_options(model: ModelConfig, pool: PoolConfig) -> dict[str, Any]:
    """The options of a pool's deployment.

    The replica process runs in bundle 0; the ranks of a group are placed by it in the others.
    One job at a time reaches a replica by the router's choice; the other slots are for those who
    watch or stop it. Serve looks every second whether a replica has died: its default of ten would
    be most of the time that a new one takes.
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
        "health_check_period_s": 1.0,
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
