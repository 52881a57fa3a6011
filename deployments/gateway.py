"""The entry: HTTP and handle calls become settled jobs for a router. Any number of replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from fastapi import FastAPI
from ray import serve

from cluster.config import ClusterConfig
from cluster.errors import InvalidRequest
from cluster.receipt import GenerateResult
from cluster.request import GenerateRequest, parse_request
from deployments.apart import Apart
from deployments.http_app import http_app
from deployments.job_store import JobStore
from deployments.results import ResultStore
from deployments.retention import keep_swept
from deployments.router_calls import JobEvent, RouterCalls
from deployments.settled import settled
from deployments.video_runner import VideoRunner


@serve.ingress()
class Gateway:
    """Validates, calls the model's router, and keeps videos as jobs that outlive it."""

    def __init__(self, config: ClusterConfig, routers: Mapping[str, Any]) -> None:
        """`routers` has the Serve handle of each model's router by the model's name."""
        self._config = config
        self._calls = RouterCalls(routers, config.max_attempts)
        self._results = ResultStore(config.results)
        self._jobs = JobStore(config.database_url, keep_s=config.results.max_age_s)
        self._runner = VideoRunner(config, self._calls, self._jobs, self._results)
        self._runner.start()
        makes_videos = any(model.makes_videos for model in config.models)
        apart = Apart(asyncio.get_running_loop())
        self._sweeping = apart(keep_swept(self._results, self._jobs if makes_videos else None))

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve once this is made."""
        return http_app(self._config, self._calls, self._jobs, self._results, self._runner)

    async def generate(self, request: GenerateRequest | Mapping[str, Any]) -> GenerateResult:
        """The pictures of a request and its receipt.

        Raises:
            DitServeError: the request is wrong, refused, or could not be finished. Through a
                handle it is the `cause` of Ray's own error.
        """
        parsed = _parsed(request)
        if parsed.stream:
            raise InvalidRequest(
                "stream: call the handle's `stream`, with options(stream=True)", param="stream"
            )
        return await self._calls.submit(await settled(parsed, self._config))

    async def stream(self, request: GenerateRequest | Mapping[str, Any]) -> AsyncIterator[JobEvent]:
        """Progress, the files of previews, and at last the result; raises as `generate`.

        Call it with `handle.options(stream=True)`.
        """
        parsed = _parsed(request).model_copy(update={"stream": True})
        job = await settled(parsed, self._config)
        async with aclosing(self._calls.follow(job)) as happening:
            async for event in happening:
                yield event

    async def __del__(self) -> None:
        """Serve waits for this when it has told the replica to stop."""
        self._sweeping.cancel()
        await self._runner.stop()


def _parsed(request: GenerateRequest | Mapping[str, Any]) -> GenerateRequest:
    return request if isinstance(request, GenerateRequest) else parse_request(request)
