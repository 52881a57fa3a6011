"""Spans of requests as the deployments see them; without a collector they cost next to nothing.

Imports no OpenTelemetry: what exports spans is imported by a process that has a collector to send
them to.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from types import TracebackType
from typing import Literal

from ray import serve

from cluster.errors import ConfigError, DitServeError
from cluster.job import Job
from cluster.trace_attributes import Attributes
from cluster.tracing import TracingConfig

Part = Literal["gateway", "router", "replica"]
Kind = Literal["internal", "server", "client", "consumer"]

_EXPORTER = "opentelemetry.exporter.otlp.proto.http"


class Span:
    """A part of a request's time. This one is not traced; one that is ends with its `with` block.

    `traceparent` is how other processes continue its trace (W3C Trace Context).
    """

    traceparent: str | None = None

    def tell(self, attributes: Attributes) -> None:
        """Adds attributes; a name that was told before has the new value."""

    def failed(self, error: DitServeError) -> None:
        """Says which error the caller gets; the span is in error where the fault is not his."""

    def broke(self, kind: str) -> None:
        """The span is in error, for a reason that no caller is told."""

    def cancelled(self) -> None:
        """Nobody wants the result any more."""

    def end(self) -> None:
        """Once; nothing can be told after it."""

    def carried_by(self, job: Job) -> Job:
        """The job, whose spans become children of this one; tells what it asks for."""
        return job

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, DitServeError):
            self.failed(error)
        elif isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self.cancelled()
        elif error is not None:
            self.broke(type(error).__name__)
        self.end()


NOT_TRACED = Span()


class Tracer:
    """Begins spans. This one traces nothing."""

    def begin(
        self,
        name: str,
        attributes: Attributes,
        *,
        parent: str | None = None,
        kind: Kind = "internal",
    ) -> Span:
        """A span from now on; `parent` is the traceparent of another, without it a trace begins."""
        return NOT_TRACED

    def past(
        self, name: str, begun_s: float, ended_s: float, attributes: Attributes, *, parent: str
    ) -> None:
        """A span that is over; times in Unix seconds."""

    def close(self) -> None:
        """Sends what was not sent yet. Blocks, for a few seconds at most."""


NO_TRACES = Tracer()


def tracer_of(config: TracingConfig | None, part: Part) -> Tracer:
    """The tracer of this Serve replica."""
    if config is None:
        return NO_TRACES
    from deployments.otlp import OtlpTracer

    return OtlpTracer(config, part, serve.get_replica_context().replica_id.unique_id)


def require_exporter(config: TracingConfig | None, where: str) -> None:
    """Checks that traces can be sent, if they are to be; `where` begins the line of the error.

    Raises:
        ConfigError: a package is missing.
    """
    if config is not None and not _is_there(_EXPORTER):
        raise ConfigError(
            f"{where}: traces need OpenTelemetry's exporter, which is not installed: "
            "pip install 'dit-serve[tracing]'"
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False
