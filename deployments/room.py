"""Whether the running cluster has room for a replica more of each deployment, to replace one."""

from __future__ import annotations

import ray
from ray._private.state import available_resources_per_node
from ray.util import list_named_actors

from cluster.config import ClusterConfig
from cluster.draining import name_of
from cluster.surge import surging
from deployments.options import (
    CONTROL_GROUP,
    GATEWAY,
    pool_group,
    pool_name,
    router_name,
)
from placement.capacity import Demand


def deployments_with_room(config: ClusterConfig) -> frozenset[str]:
    """The deployments of a config that run now, and have room for one replica more each.

    None where this process is in no Ray cluster, as when a config is only checked.
    """
    if not ray.is_initialized():
        return frozenset()
    running = _running()
    demands = _demands(config)
    return surging(
        [demand for demand in demands if demand.name not in running],
        [demand for demand in demands if demand.name in running],
        list(available_resources_per_node().values()),
    )


def _demands(config: ClusterConfig) -> list[Demand]:
    """What every deployment asks for, the small ones first."""
    demands = [Demand(GATEWAY, CONTROL_GROUP, config.gateways)]
    demands += [Demand(router_name(model), CONTROL_GROUP, 1) for model in config.models]
    return demands + [
        Demand(pool_name(model, pool), pool_group(pool), pool.autoscaling.min_replicas)
        for model in config.models
        for pool in model.pools
    ]


def _running() -> frozenset[str]:
    """The names of the deployments that have replicas."""
    actors = [actor["name"] for actor in list_named_actors(all_namespaces=True)]
    replicas = [name for actor in actors if (name := name_of(actor, "", "")) and " " in name]
    return frozenset(name.split()[0] for name in replicas)
