"""The HTTP side of a gateway: its routes, and what an exception becomes."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from cluster.config import ClusterConfig
from cluster.errors import DitServeError, InvalidRequest
from cluster.sections import reason
from deployments import openai_api, openapi_document
from deployments.admission import FromThisMachine, admission
from deployments.bodies_held import LONGEST_AT_ONCE, BodiesHeld
from deployments.browser_wall import BrowserWall
from deployments.cluster_routes import cluster_routes
from deployments.docs_page import docs_router
from deployments.image_routes import image_routes
from deployments.job_store import JobStore
from deployments.key_file import KeyFile
from deployments.key_ring import KeyRing
from deployments.key_store import key_store
from deployments.library_versions import library_versions
from deployments.picture_fetch import PictureFetch
from deployments.request_spans import span_of
from deployments.results import ResultStore
from deployments.router_calls import RouterCalls
from deployments.studio_files import studio_router
from deployments.video_routes import video_routes
from deployments.video_runner import VideoRunner

logger = logging.getLogger("ray.serve")


class _DocumentedApp(FastAPI):
    """Has the schemas in its OpenAPI document to which the routes refer, and a wall around all."""

    def __init__(self, config: ClusterConfig, **settings: Any) -> None:
        super().__init__(**settings)
        self._config = config

    def build_middleware_stack(self) -> ASGIApp:
        """Around what answers for exceptions too, which stands outside of added middleware."""
        return BrowserWall(super().build_middleware_stack(), self._config)

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["schemas"] |= openapi_document.components()
        if self._config.auth.asks_for_keys:
            openapi_document.tell_of_keys(document)
        return document


def http_app(
    config: ClusterConfig,
    calls: RouterCalls,
    jobs: JobStore,
    results: ResultStore,
    runner: VideoRunner,
) -> FastAPI:
    """All routes as one application; every error has OpenAI's envelope.

    Raises:
        ConfigError: `auth.keys_file` cannot be read, or is no list of keys.
    """
    public_url = config.public_url
    keys = key_store(config)
    if isinstance(keys, KeyFile):
        keys.read()
    app = _DocumentedApp(
        config,
        title="dit-serve",
        summary="Diffusion Transformers in quality tiers",
        description=openapi_document.ABOUT + (openapi_document.ABOUT_KEYS if keys else ""),
        version=library_versions()["dit-serve"],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=openapi_document.TAGS,
        servers=[{"url": public_url.rstrip("/")}] if public_url else None,
        root_path_in_servers=public_url is None,
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(admission(KeyRing(keys.read) if keys else None, config.key_limits))],
    )
    longest = max(config.max_body_bytes, config.max_upload_bytes)
    app.add_middleware(BodiesHeld, most=LONGEST_AT_ONCE * longest)
    if config.auth.loopback_only:
        app.add_middleware(FromThisMachine)
    fetch = PictureFetch(config)
    app.include_router(image_routes(config, calls, results, fetch))
    app.include_router(video_routes(config, calls, jobs, results, runner, fetch))
    app.include_router(cluster_routes(config, calls))
    app.include_router(studio_router())
    app.include_router(docs_router())
    app.add_exception_handler(DitServeError, _expected_error)
    app.add_exception_handler(RequestValidationError, _wrong_parameter)
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_exception_handler(Exception, _unexpected_error)
    return app


async def _expected_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DitServeError)
    span_of(request).failed(error)
    status, body, headers = openai_api.error_response(error)
    return JSONResponse(body, status, headers)


async def _wrong_parameter(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    param = str(fault["loc"][-1])
    wrong = InvalidRequest(f"{param}: {reason(fault)}", param=param)
    return await _expected_error(request, wrong)


async def _no_such_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {_path(request)}: {error.detail}"
    return JSONResponse(
        openai_api.envelope(message, "invalid_request_error"), error.status_code, error.headers
    )


async def _unexpected_error(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s", request.method, _path(request), exc_info=error)
    return JSONResponse(
        openai_api.envelope(
            "something went wrong in the server; its log says more", "server_error"
        ),
        500,
    )


def _path(request: Request) -> str:
    """Not from `request.url`, which cannot be had where the query is not UTF-8."""
    return str(request.scope["path"])
