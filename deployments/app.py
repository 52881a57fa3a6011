"""The application: gateway over routers over pools.

This is the table of contents; imports no torch.
"""

from __future__ import annotations

import os
from typing import Any

from ray import serve
from ray.serve import Application

from cluster.load import validate_args
from deployments.engine import engine_spec
from deployments.gateway import Gateway
from deployments.options import gateway_options, pool_group, pool_options, router_options
from deployments.pipeline_class import with_pipelines
from deployments.replica import DiTReplica
from deployments.router import Router
from deployments.tiers_file import read_tiers_table


def build_app(args: dict[str, Any]) -> Application:
    """The Serve application for `applications[].args`, over the environment's defaults.

    Raises:
        ConfigError: the args or a variable are wrong, or a `tiers_table` cannot be read; one line
            per fault.
    """
    config = with_pipelines(validate_args(args, "args", os.environ))
    results = config.results.anchored_at(os.getcwd())
    config = config.model_copy(update={"results": results})
    routers = {}
    for model in config.models:
        pools = {
            pool.name: serve.deployment(**pool_options(model, pool))(DiTReplica).bind(
                engine_spec(model, pool, config.results, config.picture_metadata),
                pool_group(pool),
            )
            for pool in model.pools
        }
        routers[model.name] = serve.deployment(**router_options(model))(Router).bind(
            model, config.max_attempts, pools, read_tiers_table(model, "args")
        )
    return serve.deployment(**gateway_options(config.gateways))(Gateway).bind(config, routers)
