"""What is served and how it is: models, tiers, load, health, metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from cluster.config import ClusterConfig
from cluster.errors import NoReplica
from deployments import openai_api
from deployments import openapi_document as document
from deployments.metrics_text import metrics_text
from deployments.router_calls import RouterCalls


def cluster_routes(config: ClusterConfig, calls: RouterCalls) -> APIRouter:
    """The routes that tell and change nothing."""
    routes = APIRouter(tags=["cluster"])

    @routes.get("/v1/models", **document.models())
    async def list_models() -> dict[str, Any]:
        """The served models, and what each can do."""
        return openai_api.models_response(config)

    @routes.get("/v1/tiers", **document.tiers())
    async def list_tiers() -> dict[str, Any]:
        """What each pool serves in each tier, and what that was measured to cost and give."""
        return openai_api.tiers_response(config, await calls.ask_all("measured_tiers"))

    @routes.get("/v1/status", **document.status())
    async def status() -> dict[str, Any]:
        """How many requests wait for each model, and how busy its pools are."""
        return openai_api.status_response(await calls.ask_all("load"))

    @routes.get("/health", **document.health())
    async def health() -> dict[str, str]:
        """The gateway lives."""
        return {"status": "ok"}

    @routes.get("/ready", **document.ready())
    async def ready() -> dict[str, Any]:
        """Every pool has a replica that runs, or may do without; 503 until then."""
        replicas = await calls.ask_all("replicas")
        missing = [model for model in calls.models if model not in replicas]
        missing += [
            f"{model}/{pool}"
            for model, pools in replicas.items()
            for pool, count in pools.items()
            if not count and needs_replica(model, pool)
        ]
        if missing:
            raise NoReplica(f"no replica yet in {', '.join(missing)}", retry_after_s=2)
        return {"status": "ready", "replicas": replicas}

    @routes.get("/metrics", **document.metrics())
    async def metrics() -> Response:
        """What Prometheus scrapes, of the routers that answer."""
        text = metrics_text(calls.models, await calls.ask_all("metrics"))
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    def needs_replica(model: str, pool: str) -> bool:
        served = config.model_named(model)
        return served is not None and served.pool_named(pool).autoscaling.min_replicas > 0

    return routes
