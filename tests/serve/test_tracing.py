"""One trace per request through a real cluster, from the gateway to the stages on a replica.

The requests are made first. Then the server is stopped, and each of its processes sends what it
has: none has sent anything by then.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.collector import Collector, Seen, collecting
from tests.serve.faults import PROMPT, draw, until
from tests.serve.server import Server, interrupt, serving, write_config
from tests.serve.test_streams import events, pools

pytestmark = pytest.mark.ray

STAGES = ["encode", "denoise", "decode"]
HTTP_CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HANDLE_CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NEVER_MS = "3600000"
POOL = "pool-shapes-cpu"

HANDLE_SCRIPT = """
import json, sys
import ray
from ray import serve

ray.init(address=sys.argv[1], log_to_driver=False)
handle = serve.get_app_handle("dit-serve")
answer = handle.generate.remote(json.loads(sys.argv[2]), traceparent=sys.argv[3])
print(answer.result(timeout_s=60).receipt.request_id)
"""


@dataclass(frozen=True)
class Requests:
    """What was asked of the server, and what came in at the collector when it had stopped."""

    collector: Collector
    killed: dict[str, Any]
    plain: dict[str, Any]
    streamed: dict[str, Any]
    by_handle: str

    def trace(self, receipt: dict[str, Any], spans: int) -> list[Seen]:
        return self.collector.trace_of(receipt["request_id"], spans)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Requests]:
    folder: Path = tmp_path_factory.mktemp("tracing")
    with collecting() as collector:
        config = write_config(
            folder / "config.yaml", cluster={"tracing": {"endpoint": collector.url}}
        )
        with serving(config, folder, OTEL_BSP_SCHEDULE_DELAY=NEVER_MS) as server:
            killed = draw_while_the_replica_is_killed(server)
            with server.client() as client:
                body = {"prompt": PROMPT, "seed": 1, "tier": "fast"}
                plain = client.post(
                    "/v1/images/generations", json=body, headers={"traceparent": HTTP_CALLER}
                ).json()
                refused = client.post("/v1/images/generations", json=body | {"deadline_ms": 1})
                assert refused.status_code == 429, refused.text
                with client.stream(
                    "POST", "/v1/images/generations", json=body | {"stream": True}
                ) as answer:
                    streamed = events(answer)[-1]
            by_handle = draw_through_the_handle(server)
            assert collector.spans == []
            interrupt(server)
            receipts = [each["receipt"] for each in (killed, plain, streamed)]
            yield Requests(collector, *receipts, by_handle)


def draw_while_the_replica_is_killed(server: Server) -> dict[str, Any]:
    """A picture whose replica dies in the middle; a fresh one makes it."""

    (replica,) = server.replica_pids(POOL)

    def kill() -> None:
        with server.client() as client:
            until(lambda: pools(client)[0]["busy"] == 1, 60)
        os.kill(replica, signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    answer = draw(server, tier="none", num_inference_steps=60, n=4)
    killing.join(10)
    assert answer["receipt"]["attempts"] == 2, answer["receipt"]
    return answer


def draw_through_the_handle(server: Server) -> str:
    """The id of the request."""
    fields = json.dumps({"prompt": PROMPT, "seed": 1, "tier": "fast"})
    return server.driven_by(HANDLE_SCRIPT, fields, HANDLE_CALLER)


def test_a_request_is_one_trace_from_the_gateway_to_the_stages(made: Requests) -> None:
    receipt = made.plain
    trace = made.trace(receipt, spans=6)
    root, queue, dispatch, *stages = trace
    assert [span.name for span in trace] == [
        "POST /v1/images/generations",
        "queue",
        "dispatch",
        *STAGES,
    ]
    assert [span.parent for span in (queue, dispatch)] == [root.id] * 2
    assert [span.parent for span in stages] == [dispatch.id] * 3
    assert [span.resource["dit_serve.part"] for span in trace] == [
        "gateway",
        "router",
        "router",
        *["replica"] * 3,
    ]
    for span in trace:
        assert span.attributes["dit_serve.request.id"] == receipt["request_id"]
        assert span.attributes["dit_serve.model"] == "shapes"
        assert span.attributes["dit_serve.tier.requested"] == "fast"
        assert not span.in_error
    for span in (root, dispatch, *stages):
        assert span.attributes["dit_serve.pool"] == "cpu"
        assert span.attributes["dit_serve.tier.served"] == "fast"
    for span in (root, dispatch, stages[1]):
        told = [span.attributes[f"dit_serve.steps.{kind}"] for kind in ("computed", "cached")]
        assert told == [receipt["steps_computed"], receipt["steps_cached"]]
    assert dispatch.attributes["dit_serve.attempt"] == 1
    assert dispatch.attributes["dit_serve.forecast_s"] == pytest.approx(receipt["forecast_s"])
    assert root.attributes["dit_serve.outcome"] == "ok"
    assert root.attributes["http.response.status_code"] == 200


def test_its_spans_lie_within_each_other_and_add_up_to_the_receipt(made: Requests) -> None:
    receipt = made.plain
    root, queue, dispatch, *stages = made.trace(receipt, spans=6)
    assert all(root.holds(span) for span in (queue, dispatch))
    assert all(dispatch.holds(span) for span in stages)
    assert queue.ended_s <= dispatch.begun_s + 0.001
    for span, seconds in zip(stages, STAGES, strict=True):
        assert span.seconds == pytest.approx(receipt[f"{seconds}_s"], abs=1e-3)
    assert queue.seconds == pytest.approx(receipt["queue_s"], abs=0.05)
    assert queue.seconds + dispatch.seconds == pytest.approx(receipt["total_s"], abs=0.05)


@pytest.mark.parametrize(
    ("caller", "name"),
    [(HTTP_CALLER, "POST /v1/images/generations"), (HANDLE_CALLER, "handle generate")],
)
def test_it_continues_the_trace_of_its_caller(made: Requests, caller: str, name: str) -> None:
    _, trace, parent, _ = caller.split("-")
    root, *rest = made.collector.of(trace)
    assert (root.name, root.kind, root.parent) == (name, "server", parent)
    assert [span.name for span in rest] == ["queue", "dispatch", *STAGES]
    asked = made.plain["request_id"] if caller is HTTP_CALLER else made.by_handle
    assert {span.attributes["dit_serve.request.id"] for span in (root, *rest)} == {asked}
    assert root.attributes["dit_serve.outcome"] == "ok"


def test_a_refused_request_ends_its_trace_with_the_code(made: Requests) -> None:
    code = "deadline_out_of_reach"
    refused = [span for span in made.collector.spans if span.attributes.get("error.type") == code]
    root, queue = made.collector.of(refused[0].trace)
    assert (root.name, queue.name) == ("POST /v1/images/generations", "queue")
    assert queue.parent == root.id
    assert root.attributes["http.response.status_code"] == 429
    for span in (root, queue):
        assert span.attributes["dit_serve.outcome"] == span.attributes["error.type"] == code
        assert not span.in_error, "nothing is broken"


def test_the_span_of_a_stream_lasts_as_long_as_it(made: Requests) -> None:
    root, *rest = made.trace(made.streamed, spans=6)
    assert [span.name for span in rest] == ["queue", "dispatch", *STAGES]
    assert all(root.holds(span) for span in rest)
    assert root.attributes["dit_serve.outcome"] == "ok"


def test_a_replica_that_dies_is_a_failed_dispatch_and_the_retry_another(made: Requests) -> None:
    trace = made.trace(made.killed, spans=8)
    root, first_queue, died, queue, retried, *stages = trace
    assert [span.name for span in trace[1:5]] == ["queue", "dispatch", "queue", "dispatch"]
    assert {span.parent for span in (first_queue, died, queue, retried)} == {root.id}
    assert died.in_error
    assert died.attributes["error.type"] == "replica_died"
    assert not retried.in_error
    assert [span.attributes["dit_serve.attempt"] for span in (died, retried)] == [1, 2]
    assert died.attributes["dit_serve.replica"] != retried.attributes["dit_serve.replica"]
    assert [(span.name, span.parent) for span in stages] == [
        (stage, retried.id) for stage in STAGES
    ]
    assert root.attributes["dit_serve.attempts"] == 2
    assert not root.in_error


def test_prompts_are_in_no_span(made: Requests) -> None:
    assert made.collector.bodies
    assert not any(PROMPT.encode() in body for body in made.collector.bodies)
