"""Spans sent to an OpenTelemetry collector, from a thread of their own.

Nothing here waits for the collector but `close`. The provider is not made OpenTelemetry's global
one, so that Ray's spans and ours stay apart.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import replace

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span as ApiSpan
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cluster.errors import DitServeError
from cluster.job import Job
from cluster.trace_attributes import OUTCOME, Attributes, of_error, of_failure, of_request
from cluster.tracing import TracingConfig
from deployments.library_versions import library_versions
from deployments.tracing import Kind, Part, Span, Tracer

CLOSE_S = 3.0
"""How long a process that stops waits for a collector at most."""

LOG_EVERY_S = 60.0
"""How often a collector that does not take spans is worth a line in the log."""

_KINDS: dict[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}
_CONTEXT = TraceContextTextMapPropagator()
_LOGGER = logging.getLogger(OTLPSpanExporter.__module__)


class OtlpSpan(Span):
    """A span that is sent once it has ended, if its trace is sampled."""

    def __init__(self, span: ApiSpan) -> None:
        self._span = span
        headers: dict[str, str] = {}
        _CONTEXT.inject(headers, set_span_in_context(span, Context()))
        self.traceparent = headers.get("traceparent")

    def tell(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def failed(self, error: DitServeError) -> None:
        self.tell(of_error(error))
        if error.http_status >= 500:
            self._span.set_status(StatusCode.ERROR)

    def broke(self, kind: str) -> None:
        self.tell(of_failure(kind))
        self._span.set_status(StatusCode.ERROR)

    def cancelled(self) -> None:
        self.tell({OUTCOME: "cancelled"})

    def end(self) -> None:
        self._span.end()

    def carried_by(self, job: Job) -> Job:
        self.tell(of_request(job))
        return replace(job, traceparent=self.traceparent)


class Sparing(logging.Filter):
    """Lets a record pass every `LOG_EVERY_S` seconds; the exporter writes one for each try."""

    def __init__(self) -> None:
        super().__init__()
        self._last_s = -math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        now_s = time.monotonic()
        if now_s - self._last_s < LOG_EVERY_S:
            return False
        self._last_s = now_s
        return True


class OtlpTracer(Tracer):
    """The tracer of one process, with its queue of spans and the thread that sends them.

    The queue is bounded: while a collector is away the spans beyond it are lost. Its length, the
    headers of requests and more are taken from OpenTelemetry's own environment variables.
    """

    def __init__(self, config: TracingConfig, part: Part, instance: str) -> None:
        """`instance` tells this process from others of its part."""
        version = library_versions()["dit-serve"]
        resource = Resource.create(
            {
                "service.name": "dit-serve",
                "service.version": version,
                "service.instance.id": instance,
                "dit_serve.part": part,
            }
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(config.sample_ratio)),
            resource=resource,
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=f"{config.endpoint}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("dit_serve", version)
        self._sparing = Sparing()
        _LOGGER.addFilter(self._sparing)

    def begin(
        self,
        name: str,
        attributes: Attributes,
        *,
        parent: str | None = None,
        kind: Kind = "internal",
    ) -> OtlpSpan:
        span = self._tracer.start_span(
            name, _context(parent), _KINDS[kind], attributes, record_exception=False
        )
        return OtlpSpan(span)

    def past(
        self, name: str, begun_s: float, ended_s: float, attributes: Attributes, *, parent: str
    ) -> None:
        span = self._tracer.start_span(
            name, _context(parent), attributes=attributes, start_time=_nanoseconds(begun_s)
        )
        span.end(_nanoseconds(ended_s))

    def close(self) -> None:
        """The exporter tries a collector that is away for longer than a stop may take."""
        closing = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        _LOGGER.removeFilter(self._sparing)


def _context(parent: str | None) -> Context:
    """The context of a parent; empty, so that a trace begins, where it is none or none that is
    well-formed."""
    return _CONTEXT.extract({} if parent is None else {"traceparent": parent}, Context())


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
