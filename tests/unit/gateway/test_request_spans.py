"""The first span of a request, over HTTP and on the way of a video: with a real collector."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from cluster.config import ClusterConfig
from cluster.errors import EngineFailed, QueueFull
from cluster.tracing import TracingConfig
from cluster.video_job import VideoStatus
from deployments.job_store import JobStore
from deployments.results import ResultStore
from tests.collector import Collector, collecting
from tests.serve.server import free_port
from tests.unit.gateway.stand_in import Routers
from tests.unit.gateway.video_gateways import Gateways, within_time

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, while it is imported
    from deployments import otlp
    from deployments.otlp import OtlpTracer
    from deployments.request_spans import RequestSpans
    from deployments.video_runner import VideoRunner

PROMPT = "a red circle that nobody else may hear of"
PICTURE = {"model": "shapes", "prompt": PROMPT}
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
def tracer(collector: Collector) -> OtlpTracer:
    return OtlpTracer(TracingConfig(endpoint=collector.url), "gateway", "g-1")


@pytest.fixture
def traced(app: FastAPI, tracer: OtlpTracer) -> Iterator[TestClient]:
    app.add_middleware(RequestSpans, tracer=tracer)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_a_request_has_a_span_with_its_receipt_and_its_job_carries_it(
    traced: TestClient, tracer: OtlpTracer, collector: Collector, routers: Routers
) -> None:
    answer = traced.post(
        "/v1/images/generations", json=PICTURE | {"seed": 3}, headers={"traceparent": CALLER}
    )
    tracer.close()
    (span,) = collector.spans
    assert (span.name, span.kind) == ("POST /v1/images/generations", "server")
    assert (span.trace, span.parent) == (CALLER.split("-")[1], CALLER.split("-")[2])
    told = span.attributes
    assert (told["http.route"], told["http.response.status_code"]) == (
        "/v1/images/generations",
        200,
    )
    assert told["dit_serve.request.id"] == answer.json()["receipt"]["request_id"]
    assert (told["dit_serve.tier.served"], told["dit_serve.outcome"]) == ("fast", "ok")
    assert (told["dit_serve.steps.computed"], told["dit_serve.steps.cached"]) == (5, 3)
    (job,) = routers.jobs
    assert job.traceparent == f"00-{span.trace}-{span.id}-01"
    assert not any(PROMPT.encode() in body for body in collector.bodies)


def test_a_refusal_is_on_the_span_and_only_our_own_faults_are_errors(
    traced: TestClient, tracer: OtlpTracer, collector: Collector, routers: Routers
) -> None:
    wrong = traced.post("/v1/images/generations", json=PICTURE | {"tier": PROMPT})
    routers.refusal = QueueFull("full")
    full = traced.post("/v1/images/generations", json=PICTURE)
    routers.refusal, routers.failure = None, EngineFailed("no")
    failed = traced.post("/v1/images/generations", json=PICTURE)
    routers.failure = ValueError(PROMPT)
    unexpected = traced.post("/v1/images/generations", json=PICTURE)
    tracer.close()
    assert [answer.status_code for answer in (wrong, full, failed, unexpected)] == [
        400,
        429,
        500,
        500,
    ]
    assert [(span.attributes["error.type"], span.in_error) for span in collector.spans] == [
        ("invalid_value", False),
        ("queue_full", False),
        ("engine_failed", True),
        ("ValueError", True),
    ]
    assert not any(PROMPT.encode() in body for body in collector.bodies)


def test_the_span_of_a_stream_ends_with_it_and_tells_of_a_late_failure(
    traced: TestClient, tracer: OtlpTracer, collector: Collector, routers: Routers
) -> None:
    traced.post("/v1/images/generations", json=PICTURE | {"stream": True})
    routers.failure = EngineFailed("no")
    traced.post("/v1/images/generations", json=PICTURE | {"stream": True})
    tracer.close()
    done, failed = collector.spans
    assert done.attributes["dit_serve.outcome"] == "ok"
    assert failed.attributes["http.response.status_code"] == 200
    assert (failed.attributes["error.type"], failed.in_error) == ("engine_failed", True)


def test_requests_are_answered_while_no_collector_listens(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setattr(otlp, "CLOSE_S", 0.1)
    away = OtlpTracer(TracingConfig(endpoint=f"http://127.0.0.1:{free_port()}"), "gateway", "g-1")
    app.add_middleware(RequestSpans, tracer=away)
    with TestClient(app) as client:
        began_s = time.monotonic()
        for _ in range(50):
            assert client.post("/v1/images/generations", json=PICTURE).status_code == 200
        assert time.monotonic() - began_s < 20
    away.close()


def test_what_only_reads_is_not_traced(
    traced: TestClient, tracer: OtlpTracer, collector: Collector
) -> None:
    for path in ("/health", "/v1/models", "/v1/videos", "/v1/images/img_1/content"):
        traced.get(path, headers={"traceparent": CALLER})
    traced.post("/v1/nowhere", headers={"traceparent": CALLER})
    tracer.close()
    assert collector.spans == []


def test_a_video_goes_on_in_the_trace_of_its_request_whoever_makes_it(
    traced: TestClient,
    tracer: OtlpTracer,
    collector: Collector,
    config: ClusterConfig,
    routers: Routers,
    store: JobStore,
    results: ResultStore,
) -> None:
    clip = {"model": "clips", "prompt": PROMPT}
    video_id = traced.post("/v1/videos", json=clip, headers={"traceparent": CALLER}).json()["id"]
    other = OtlpTracer(TracingConfig(endpoint=collector.url), "gateway", "g-2")
    gateways = Gateways(config, routers, store, results)
    video = store.get(video_id, "")
    assert video is not None

    async def work() -> None:
        runner = VideoRunner(config, routers, store, results, other)
        runner.start()
        await gateways.becomes(video, VideoStatus.COMPLETED)
        await runner.stop()

    within_time(work)
    tracer.close()
    other.close()
    request, made = collector.of(CALLER.split("-")[1])
    assert (request.name, made.name, made.kind) == ("POST /v1/videos", "video", "consumer")
    assert made.parent == request.id
    assert {span.attributes["dit_serve.request.id"] for span in (request, made)} == {video_id}
    assert made.attributes["dit_serve.outcome"] == "ok"
    assert made.attributes["dit_serve.frames"] == 5
    (job,) = routers.jobs
    assert job.traceparent == f"00-{made.trace}-{made.id}-01"
    assert not any(PROMPT.encode() in body for body in collector.bodies)
