"""A collector of traces in this process: OTLP over HTTP on loopback, kept in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class Seen:
    """A span as it arrived; times in Unix seconds, `parent` empty where it began its trace."""

    name: str
    trace: str
    id: str
    parent: str
    kind: str
    begun_s: float
    ended_s: float
    attributes: dict[str, Any]
    in_error: bool
    resource: dict[str, Any]

    @property
    def seconds(self) -> float:
        return self.ended_s - self.begun_s

    def holds(self, other: Seen, slack_s: float = 0.05) -> bool:
        """Whether the other lies within this one's time."""
        begins = self.begun_s - slack_s <= other.begun_s
        return begins and other.ended_s <= self.ended_s + slack_s


@dataclass
class Collector:
    """What came in: spans, the headers of requests, and their bodies as they were sent."""

    url: str
    spans: list[Seen] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def of(self, trace: str) -> list[Seen]:
        """The spans of a trace that are here, in the order in which they began."""
        found = [span for span in list(self.spans) if span.trace == trace]
        return sorted(found, key=lambda span: span.begun_s)

    def wait_for(
        self, enough: Callable[[Sequence[Seen]], bool], timeout_s: float = 20.0
    ) -> list[Seen]:
        """All spans, as soon as they are enough."""
        give_up = time.monotonic() + timeout_s
        while not enough(spans := list(self.spans)):
            assert time.monotonic() < give_up, [span.name for span in spans]
            time.sleep(0.05)
        return spans

    def trace_of(self, request_id: str, spans: int) -> list[Seen]:
        """The whole trace of a request, which has so many spans, in the order of their begins."""

        def trace() -> list[Seen]:
            ids = {
                span.trace
                for span in list(self.spans)
                if span.attributes.get("dit_serve.request.id") == request_id
            }
            assert len(ids) <= 1, "one request, one trace"
            return self.of(ids.pop()) if ids else []

        self.wait_for(lambda _: len(trace()) >= spans)
        found = trace()
        assert len(found) == spans, [span.name for span in found]
        return found


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector until the end of the block; then its port is closed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    collector = server.collector = Collector(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        collector: Collector = self.server.collector  # type: ignore[attr-defined]
        collector.bodies.append(body)
        collector.headers.append({name.lower(): value for name, value in self.headers.items()})
        found = self.path == "/v1/traces"
        if found:
            collector.spans.extend(_spans(body))
        self.send_response(200 if found else 404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Not on the terminal."""


def _spans(body: bytes) -> Iterator[Seen]:
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Seen(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    begun_s=span.start_time_unix_nano / 1e9,
                    ended_s=span.end_time_unix_nano / 1e9,
                    attributes=_values(span.attributes),
                    in_error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
                    resource=_values(resource.resource.attributes),
                )


def _values(attributes: Sequence[KeyValue]) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in attributes
    }
