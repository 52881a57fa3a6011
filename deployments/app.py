"""The application: gateway over routers over pools.

This is the table of contents; imports no torch.
"""

from __future__ import annotations

import os
from typing import Any

from ray.serve import Application

from cluster.load import validate_args
from deployments.engine import engine_spec
from deployments.gateway import Gateway
from deployments.options import (
    gateway_options,
    pool_group,
    pool_options,
    router_options,
    with_surge,
)
from deployments.pipeline_class import with_pipelines
from deployments.replica import DiTReplica
from deployments.room import deployments_with_room
from deployments.router import Router
from deployments.tiers_file import read_tiers_table
from deployments.tracing import require_exporter
from deployments.versions import bound


def build_app(args: dict[str, Any]) -> Application:
    """The Serve application for `applications[].args`, over the environment's defaults.

    Raises:
        ConfigError: the args or a variable are wrong, a `tiers_table` cannot be read, or what sends
            traces is not installed; one line per fault.
    """
    config = with_pipelines(validate_args(args, "args", os.environ))
    require_exporter(config.tracing, "args.tracing")
    results = config.results.anchored_at(os.getcwd())
    auth = config.auth.anchored_at(os.getcwd())
    config = config.model_copy(update={"results": results, "auth": auth})
    surge = deployments_with_room(config)
    routers = {}
    for model in config.models:
        pools = {
            pool.name: bound(
                DiTReplica,
                with_surge(pool_options(model, pool), surge),
                engine_spec(model, pool, config.results, config.picture_metadata),
                pool_group(pool),
                config.tracing,
            )
            for pool in model.pools
        }
        routers[model.name] = bound(
            Router,
            with_surge(router_options(model), surge),
            model,
            config.max_attempts,
            pools,
            read_tiers_table(model, "args"),
            config.tracing,
        )
    return bound(Gateway, with_surge(gateway_options(config.gateways), surge), config, routers)
