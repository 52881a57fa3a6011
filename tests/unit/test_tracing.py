"""Traces: off by default, sent to a real collector when on, and never in a request's way."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config import ClusterConfig
from cluster.errors import ConfigError, EngineFailed, QueueFull
from cluster.job import Job, job_of
from cluster.load import validate_args
from cluster.tiers import Tier
from cluster.trace_attributes import of_request
from cluster.tracing import TracingConfig
from deployments.engine import EngineResult, Stopped
from tests.collector import Collector, collecting
from tests.serve.server import free_port

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, while it is imported
    from deployments import otlp
    from deployments.app import build_app
    from deployments.check import checked_config
    from deployments.otlp import OtlpTracer
    from deployments.stage_spans import tell_stages
    from deployments.tracing import NO_TRACES, Tracer

PROMPT = "a red circle that nobody else may hear of"
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CALLER_DROPS = CALLER[:-2] + "00"

A_JOB = Job(
    request_id="img_1",
    model="shapes",
    prompt=PROMPT,
    n=2,
    width=64,
    height=32,
    tier_requested="auto",
    min_tier=None,
    num_inference_steps=8,
    seed=1,
    caller="somebody",
    negative_prompt="a secret",
)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def a_tracer(endpoint: str, sample_ratio: float = 1.0) -> OtlpTracer:
    return OtlpTracer(TracingConfig(endpoint=endpoint, sample_ratio=sample_ratio), "router", "r-1")


def args(**tracing: Any) -> dict[str, Any]:
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    return dict(document["applications"][0]["args"]) | {"tracing": tracing}


def test_nothing_is_traced_unless_the_config_says_so() -> None:
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    config = ClusterConfig.model_validate(document["applications"][0]["args"])
    assert config.tracing is None


@pytest.mark.parametrize(
    ("tracing", "said"),
    [
        ({}, "tracing.endpoint: is missing"),
        ({"endpoint": "collector:4318"}, "tracing.endpoint: "),
        ({"endpoint": "http://"}, "tracing.endpoint: "),
        ({"endpoint": "http://collector:4318?key=1"}, "tracing.endpoint: "),
        ({"endpoint": "https://me:word@collector"}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ({"endpoint": "http://collector:4318", "sample_ratio": 1.5}, "tracing.sample_ratio: "),
        ({"endpoint": "http://collector:4318", "sampel_ratio": 1.0}, "did you mean sample_ratio?"),
    ],
)
def test_a_wrong_section_is_refused_in_a_line(tracing: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        validate_args(args(**tracing), "args")
    (line,) = str(refused.value).splitlines()
    assert said in line
    assert "word" not in line.replace("password", "")


def test_a_missing_exporter_is_said_when_the_file_is_checked_and_when_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    document["applications"][0]["args"]["tracing"] = {"endpoint": "http://collector:4318"}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    assert checked_config(config).tracing is not None
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    said = "traces need OpenTelemetry's exporter, which is not installed: pip install"
    with pytest.raises(ConfigError, match=rf"^{config}: applications\[0\].args.tracing: {said}"):
        checked_config(config)
    with pytest.raises(ConfigError, match=f"^args.tracing: {said}"):
        build_app(args(endpoint="http://collector:4318"))


OFF = """
import sys
import ray.serve

def telemetry():
    return {name for name in sys.modules if name.startswith("opentelemetry")}

with_ray = telemetry()
from deployments import app, gateway, replica, router
from deployments.tracing import tracer_of
with tracer_of(None, "gateway").begin("a", {}) as span:
    assert span.traceparent is None
assert telemetry() == with_ray, telemetry() - with_ray
assert not any(name.startswith("opentelemetry.exporter.otlp") for name in with_ray)
"""


def test_without_a_collector_nothing_of_opentelemetry_is_imported_but_by_ray() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", OFF], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_a_job_is_the_same_in_any_trace_and_keeps_its_own_in_the_store() -> None:
    traced = replace(A_JOB, traceparent=CALLER)
    assert traced == A_JOB
    assert hash(traced) == hash(A_JOB)
    assert job_of(traced.as_mapping()).traceparent == CALLER
    assert "traceparent" not in A_JOB.as_mapping()
    assert job_of(A_JOB.as_mapping()).traceparent is None


def test_spans_say_what_was_asked_but_not_the_words_nor_who_asked() -> None:
    told = dict(of_request(A_JOB))
    assert told["dit_serve.request.id"] == "img_1"
    assert (told["dit_serve.images"], told["dit_serve.width_px"]) == (2, 64)
    secrets = {A_JOB.prompt, A_JOB.negative_prompt, A_JOB.caller}
    assert not secrets & {str(value) for value in told.values()}
    assert "dit_serve.deadline_s" not in told


def test_every_attribute_is_documented_and_no_other() -> None:
    sources = [Path("cluster/trace_attributes.py"), *Path("deployments").glob("*.py")]
    said = {
        name
        for source in sources
        for name in re.findall(r'"((?:dit_serve|http|url|error)\.[\w.]+)"', source.read_text())
    }
    documented = re.findall(
        r"`((?:dit_serve|http|url|error)\.[\w.]+)`", Path("docs/tracing.md").read_text()
    )
    no_attributes = {
        "dit_serve.span",
        "dit_serve.hold",
        "http.response.start",
        "http.response.body",
    }
    assert said - no_attributes == set(documented)


def test_a_trace_goes_on_from_process_to_process(collector: Collector) -> None:
    first, second = a_tracer(collector.url), a_tracer(collector.url)
    with first.begin("request", {"of": 1}, parent=CALLER, kind="server") as span:
        job = span.carried_by(A_JOB)
        with second.begin("inner", {}, parent=job.traceparent) as inner:
            inner.failed(QueueFull("full"))
        with second.begin("broken", {}, parent=job.traceparent) as broken:
            broken.failed(EngineFailed("no"))
    for tracer in (first, second):
        tracer.close()
    request, inner_seen, broken_seen = collector.of(CALLER.split("-")[1])
    assert (request.parent, request.kind) == (CALLER.split("-")[2], "server")
    assert request.attributes["dit_serve.request.id"] == "img_1"
    assert (inner_seen.parent, broken_seen.parent) == (request.id, request.id)
    assert inner_seen.attributes["error.type"] == "queue_full"
    assert (inner_seen.in_error, broken_seen.in_error) == (False, True)
    assert request.holds(inner_seen)
    resource = request.resource
    assert (resource["service.name"], resource["dit_serve.part"]) == ("dit-serve", "router")
    assert resource["service.version"]
    assert resource["service.instance.id"] == "r-1"


@pytest.mark.parametrize("parent", [None, "nonsense", "00-0-0-01"])
def test_without_a_right_parent_a_trace_begins(collector: Collector, parent: str | None) -> None:
    tracer = a_tracer(collector.url)
    tracer.begin("request", {}, parent=parent).end()
    tracer.close()
    (span,) = collector.spans
    assert span.parent == ""


def test_the_ratio_decides_over_new_traces_and_the_caller_over_his_own(
    collector: Collector,
) -> None:
    none, all_of_them = a_tracer(collector.url, 0.0), a_tracer(collector.url, 1.0)
    with none.begin("new", {}) as span:
        assert span.traceparent is not None
        all_of_them.begin("below a dropped one", {}, parent=span.traceparent).end()
    none.begin("kept by its caller", {}, parent=CALLER).end()
    all_of_them.begin("dropped by its caller", {}, parent=CALLER_DROPS).end()
    for tracer in (none, all_of_them):
        tracer.close()
    assert [span.name for span in collector.spans] == ["kept by its caller"]


def test_a_sample_ratio_of_zero_sends_nothing(collector: Collector) -> None:
    tracer = a_tracer(collector.url, 0.0)
    for _ in range(50):
        tracer.begin("new", {}).end()
    tracer.close()
    assert collector.bodies == []


def test_headers_for_the_collector_come_from_the_environment(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=of-the-environment")
    tracer = a_tracer(collector.url)
    tracer.begin("request", {}).end()
    tracer.close()
    assert [headers["x-key"] for headers in collector.headers] == ["of-the-environment"]


def test_a_collector_that_is_away_is_waited_for_by_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setattr(otlp, "CLOSE_S", 0.5)
    tracer = a_tracer(f"http://127.0.0.1:{free_port()}")
    began_s = time.monotonic()
    for _ in range(5000):
        tracer.begin("request", {"of": "many"}).end()
    assert time.monotonic() - began_s < 5.0
    began_s = time.monotonic()
    tracer.close()
    assert time.monotonic() - began_s < 2.0
    assert caplog.text.count("exporting spans batch") == 1, "not a line for each try"


RESULT = EngineResult((), 5, 3, (), encode_s=0.25, denoise_s=2.0, decode_s=0.5)


def tell(tracer: Tracer, parent: str | None, made: EngineResult | Exception) -> None:
    """The stages of `A_JOB`, whose future ended so."""

    async def told() -> None:
        future: asyncio.Future[EngineResult] = asyncio.get_running_loop().create_future()
        if isinstance(made, Exception):
            future.set_exception(made)
        else:
            future.set_result(made)
        tell_stages(tracer, parent, "cpu", A_JOB, Tier.FAST, future)
        future.exception()

    asyncio.run(told())


def test_the_stages_of_a_job_lie_end_to_end_and_end_now(collector: Collector) -> None:
    tracer = a_tracer(collector.url)
    tell(tracer, CALLER, RESULT)
    tracer.close()
    encode, denoise, decode = collector.of(CALLER.split("-")[1])
    assert [span.name for span in (encode, denoise, decode)] == ["encode", "denoise", "decode"]
    assert {span.parent for span in collector.spans} == {CALLER.split("-")[2]}
    seconds = [round(span.seconds, 3) for span in (encode, denoise, decode)]
    assert seconds == [0.25, 2.0, 0.5]
    assert encode.ended_s == pytest.approx(denoise.begun_s, abs=1e-3)
    assert denoise.ended_s == pytest.approx(decode.begun_s, abs=1e-3)
    assert abs(time.time() - decode.ended_s) < 10
    assert denoise.attributes["dit_serve.steps.computed"] == 5
    assert denoise.attributes["dit_serve.tier.served"] == "fast"


def test_what_was_not_made_or_not_asked_for_has_no_stages(collector: Collector) -> None:
    tracer = a_tracer(collector.url)
    tell(tracer, CALLER, Stopped())
    tell(tracer, None, RESULT)
    tell(NO_TRACES, None, RESULT)
    tracer.close()
    assert collector.spans == []
