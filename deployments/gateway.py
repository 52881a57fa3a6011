"""The entry: HTTP and handle calls become settled jobs for a router.

Stateless; any number of replicas.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from ray import serve
from ray.exceptions import ObjectLostError, RayActorError
from ray.serve.exceptions import RayServeException
from starlette.exceptions import HTTPException

from cluster.config import ClusterConfig
from cluster.errors import DeadlinePassed, DitServeError, NoReplica
from cluster.receipt import GenerateResult
from cluster.request import GenerateRequest, Job, parse_request, settle
from deployments import openai_api
from deployments.http_body import read_body
from deployments.metrics import exposition
from deployments.router import RouterAnswer

logger = logging.getLogger("ray.serve")

ROUTER_ANSWER_S = 3.0
"""How long `/ready`, `/v1/tiers` and `/metrics` wait for one router."""

LATE_ALREADY_S = 0.001
"""The deadline of a job that is sent again after its own has passed."""

http = FastAPI(
    title="dit-serve",
    summary="Diffusion Transformers in quality tiers",
    docs_url=None,
    redoc_url=None,
)


@http.exception_handler(DitServeError)
async def _expected_error(request: Request, error: DitServeError) -> JSONResponse:
    status, body, headers = openai_api.error_response(error)
    return JSONResponse(body, status, headers)


@http.exception_handler(HTTPException)
async def _no_such_route(request: Request, error: HTTPException) -> JSONResponse:
    message = f"{request.method} {request.url.path}: {error.detail}"
    return JSONResponse(
        openai_api.envelope(message, "invalid_request_error"), error.status_code, error.headers
    )


@http.exception_handler(Exception)
async def _unexpected_error(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s", request.method, request.url.path, exc_info=error)
    return JSONResponse(
        openai_api.envelope(
            "something went wrong in the server; its log says more", "server_error"
        ),
        500,
    )


def _again(job: Job, attempt: int, elapsed_s: float) -> Job:
    """The job as it is sent now: with what is left of its deadline.

    Raises:
        DeadlinePassed: nothing is left of a deadline that was promised.
    """
    if job.deadline_s is None or attempt == 1:
        return replace(job, attempt=attempt)
    left_s = job.deadline_s - elapsed_s
    if left_s <= 0 and job.late == "refuse":
        raise DeadlinePassed(
            f"deadline_ms: the deadline of {job.deadline_s:g} s passed while a router was replaced",
            param="deadline_ms",
        )
    return replace(job, attempt=attempt, deadline_s=max(left_s, LATE_ALREADY_S))


@serve.ingress(http)
class Gateway:
    """Validates, calls the model's router, and sends the same job again after a death.

    That is the death of the router or of a replica.
    """

    def __init__(self, config: ClusterConfig, routers: Mapping[str, Any]) -> None:
        """`routers` has the Serve handle of each model's router by the model's name."""
        self._config = config
        self._routers = routers

    async def generate(self, request: GenerateRequest | Mapping[str, Any]) -> GenerateResult:
        """The pictures of a request and its receipt.

        Raises:
            DitServeError: the request is wrong, refused, or could not be finished. Through a
                handle it is the `cause` of Ray's own error.
        """
        parsed = request if isinstance(request, GenerateRequest) else parse_request(request)
        _, job = settle(
            parsed, self._config, f"img_{secrets.token_hex(12)}", secrets.randbelow(2**31)
        )
        return await self._submit(job)

    @http.post("/v1/images/generations", openapi_extra=openai_api.generation_operation())
    async def create_images(self, request: Request) -> Response:
        """Pictures from a prompt."""
        body = await read_body(request, self._config.max_body_bytes)
        fields = openai_api.decode_body(body, request.headers.get("content-type", ""))
        return JSONResponse(openai_api.images_response(await self.generate(fields)))

    @http.get("/v1/models")
    async def list_models(self) -> dict[str, Any]:
        """The served models."""
        return openai_api.models_response(self._config)

    @http.get("/v1/tiers")
    async def list_tiers(self) -> dict[str, Any]:
        """What each pool serves in each tier, and what that was measured to cost and give."""
        measured = await self._ask_routers("measured_tiers")
        return openai_api.tiers_response(self._config, measured)

    @http.get("/health")
    async def health(self) -> dict[str, str]:
        """The gateway lives."""
        return {"status": "ok"}

    @http.get("/ready")
    async def ready(self) -> dict[str, Any]:
        """Every pool has a replica that runs, or may do without; 503 until then."""
        replicas = await self._ask_routers("replicas")
        missing = [model for model in self._routers if model not in replicas]
        missing += [
            f"{model}/{pool}"
            for model, pools in replicas.items()
            for pool, count in pools.items()
            if not count and self._needs_replica(model, pool)
        ]
        if missing:
            raise NoReplica(f"no replica yet in {', '.join(missing)}", retry_after_s=2)
        return {"status": "ready", "replicas": replicas}

    @http.get("/metrics")
    async def metrics(self) -> Response:
        """What Prometheus scrapes, of the routers that answer."""
        parts = await self._ask_routers("metrics")
        return Response(exposition(parts.values()), media_type=CONTENT_TYPE_LATEST)

    def _needs_replica(self, model: str, pool: str) -> bool:
        served = self._config.model_named(model)
        return served is not None and served.pool_named(pool).autoscaling.min_replicas > 0

    async def _ask_routers(self, method: str) -> dict[str, Any]:
        """The answers by model, without the routers that are dead or slow."""

        async def ask(model: str) -> Any:
            call = getattr(self._routers[model], method).remote()
            return await asyncio.wait_for(call, ROUTER_ANSWER_S)

        asked = [ask(model) for model in self._routers]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for model, answer in zip(self._routers, answers, strict=True):
            if isinstance(answer, BaseException):
                logger.warning("the router of %s does not tell its %s: %r", model, method, answer)
        return {
            model: answer
            for model, answer in zip(self._routers, answers, strict=True)
            if not isinstance(answer, BaseException)
        }

    async def _submit(self, job: Job) -> GenerateResult:
        arrived_s = time.monotonic()
        for attempt in range(1, self._config.max_attempts + 1):
            try:
                answer: RouterAnswer = await self._routers[job.model].generate.remote(
                    _again(job, attempt, time.monotonic() - arrived_s)
                )
                if isinstance(answer, DitServeError):
                    raise answer
                return GenerateResult(await answer.images, answer.receipt, job.output_format)
            except (RayActorError, ObjectLostError):
                logger.warning(
                    "request %s: the router or the replica of its pictures died, attempt %d",
                    job.request_id,
                    attempt,
                )
            except RayServeException as error:
                raise NoReplica(
                    f"{job.model}: no router takes requests now; try again later", retry_after_s=5
                ) from error
        raise NoReplica(
            f"{job.model}: the router died {self._config.max_attempts} times on this request; "
            "try again later",
            retry_after_s=5,
        )
