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
from cluster.trace_attributes import of_receipt
from deployments.apart import Apart
from deployments.http_app import http_app
from deployments.job_store import JobStore
from deployments.request_spans import RequestSpans, traced
from deployments.results import ResultStore
from deployments.retention import keep_swept
from deployments.router_calls import JobEvent, RouterCalls
from deployments.settled import settled
from deployments.termination import Counted, Underway, on_sigterm
from deployments.tracing import Span, tracer_of
from deployments.video_runner import VideoRunner


@serve.ingress()
class Gateway:
    """Validates, calls the model's router, and keeps videos as jobs that outlive it."""

    def __init__(self, config: ClusterConfig, routers: Mapping[str, Any]) -> None:
        """`routers` has the Serve handle of each model's router by the model's name."""
        self._config = config
        self._tracer = tracer_of(config.tracing, "gateway")
        self._calls = RouterCalls(routers, config.max_attempts)
        self._results = ResultStore(config.results)
        self._jobs = JobStore(config.database_url, keep_s=config.results.max_age_s)
        self._runner = VideoRunner(config, self._calls, self._jobs, self._results, self._tracer)
        self._runner.start()
        makes_videos = any(model.makes_videos for model in config.models)
        apart = Apart(asyncio.get_running_loop())
        self._underway = Underway(asyncio.get_running_loop())
        on_sigterm(asyncio.get_running_loop(), self._leave)
        self._sweeping = apart(keep_swept(self._results, self._jobs if makes_videos else None))

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve once this is made."""
        app = http_app(self._config, self._calls, self._jobs, self._results, self._runner)
        if self._config.tracing is not None:
            app.add_middleware(RequestSpans, tracer=self._tracer)
        app.add_middleware(Counted, underway=self._underway)
        return app

    async def generate(
        self, request: GenerateRequest | Mapping[str, Any], traceparent: str | None = None
    ) -> GenerateResult:
        """The pictures of a request and its receipt; `traceparent` is a trace to continue.

        Raises:
            DitServeError: the request is wrong, refused, or could not be finished. Through a
                handle it is the `cause` of Ray's own error.
        """
        with self._underway.one(), self._span("handle generate", traceparent) as span:
            parsed = _parsed(request)
            if parsed.stream:
                raise InvalidRequest(
                    "stream: call the handle's `stream`, with options(stream=True)", param="stream"
                )
            job = span.carried_by(await settled(parsed, self._config))
            result = await self._calls.submit(job)
            span.tell(of_receipt(result.receipt))
            return result

    async def stream(
        self, request: GenerateRequest | Mapping[str, Any], traceparent: str | None = None
    ) -> AsyncIterator[JobEvent]:
        """Progress, the files of previews, and at last the result; raises as `generate`.

        Call it with `handle.options(stream=True)`.
        """
        with self._underway.one(), self._span("handle stream", traceparent) as span:
            parsed = _parsed(request).model_copy(update={"stream": True})
            job = span.carried_by(await settled(parsed, self._config))
            async with aclosing(traced(self._calls.follow(job), span)) as happening:
                async for event in happening:
                    yield event

    async def __del__(self) -> None:
        """Serve waits for this when it has told the replica to stop."""
        self._sweeping.cancel()
        await self._runner.stop()
        await asyncio.to_thread(self._tracer.close)

    async def _leave(self) -> None:
        """On SIGTERM. Serve knows nothing of it, and sends requests here as before."""
        await self._underway.idle()
        await self.__del__()

    def _span(self, name: str, traceparent: str | None) -> Span:
        return self._tracer.begin(name, {}, parent=traceparent, kind="server")


def _parsed(request: GenerateRequest | Mapping[str, Any]) -> GenerateRequest:
    return request if isinstance(request, GenerateRequest) else parse_request(request)
