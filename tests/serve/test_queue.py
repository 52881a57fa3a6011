"""What happens to requests that wait, are too many, are given up, or lose their replica."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.serve.conftest import MAX_QUEUED
from tests.serve.server import Server, wait_ready

pytestmark = pytest.mark.ray

PROMPT = "a red circle left of a blue square on a white background"
LONG = {"prompt": PROMPT, "tier": "none", "num_inference_steps": 100, "n": 3, "seed": 1}
SHORT = {"prompt": PROMPT, "tier": "fast", "num_inference_steps": 8, "seed": 1}


def post(server: Server, **fields: Any) -> httpx.Response:
    with server.client() as client:
        return client.post("/v1/images/generations", json=fields)


def sample(http: httpx.Client, line: str) -> float:
    found = [text for text in http.get("/metrics").text.splitlines() if text.startswith(line + " ")]
    return float(found[0].split()[-1]) if found else 0.0


def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.05)


def waited_s(answer: httpx.Response) -> float:
    """How long an answered request stood in the line."""
    return float(answer.json()["receipt"]["queue_s"])


def seconds(answer: httpx.Response) -> float:
    """What the engine took for an answered request."""
    receipt = answer.json()["receipt"]
    return float(receipt["encode_s"] + receipt["denoise_s"] + receipt["decode_s"])


def busy(http: httpx.Client) -> bool:
    return sample(http, 'dit_serve_replicas{model="shapes",pool="cpu",state="busy"}') == 1


def idle(http: httpx.Client) -> bool:
    return sample(http, 'dit_serve_replicas{model="shapes",pool="cpu",state="idle"}') == 1


def test_requests_beyond_the_queues_bound_are_refused_and_the_others_served(
    server: Server, http: httpx.Client
) -> None:
    with ThreadPoolExecutor(MAX_QUEUED + 6) as callers:
        blocker = callers.submit(post, server, **LONG)
        until(lambda: busy(http))
        answers = list(callers.map(lambda seed: post(server, **SHORT | {"seed": seed}), range(12)))
        assert blocker.result().status_code == 200
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 12 - MAX_QUEUED
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert {answer.json()["error"]["code"] for answer in refused} == {"queue_full"}
    assert sum(answer.status_code == 200 for answer in answers) == MAX_QUEUED


def test_higher_priority_goes_first(server: Server, http: httpx.Client) -> None:
    """By the router's clock: answers with small pictures can overtake each other on their way."""

    def call(priority: int) -> httpx.Response:
        return post(server, **SHORT | {"priority": priority, "deadline_ms": 60_000})

    with ThreadPoolExecutor(4) as callers:
        blocker = callers.submit(post, server, **LONG)
        until(lambda: busy(http))
        calls = []
        for waiting, priority in enumerate((0, 5, 9), start=1):
            calls.append(callers.submit(call, priority))
            until(lambda count=waiting: sample(http, _WAITING) == count)  # type: ignore[misc]
        assert blocker.result().status_code == 200
        lowest, middle, highest = (done.result() for done in calls)
    assert waited_s(middle) > waited_s(highest) + seconds(highest)
    assert waited_s(lowest) > waited_s(middle) + seconds(middle)


_WAITING = 'dit_serve_queue_requests{model="shapes"}'


def begun(server: Server, **fields: Any) -> socket.socket:
    """A connection on which a request was sent and nothing read."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    body = json.dumps(fields).encode()
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(
        b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    return connection


def test_a_caller_that_goes_away_frees_the_replica_at_the_next_step(
    server: Server, http: httpx.Client
) -> None:
    cancelled = (
        'dit_serve_requests_total{model="shapes",outcome="cancelled",pool="cpu",tier="none"}'
    )
    before = sample(http, cancelled)
    connection = begun(server, **LONG | {"n": 8})
    until(lambda: busy(http))
    gone = time.monotonic()
    connection.close()
    until(lambda: idle(http), 10)
    assert time.monotonic() - gone < 5, "800 steps take longer"
    assert sample(http, cancelled) == before + 1
    assert post(server, **SHORT).status_code == 200


def test_a_caller_that_goes_away_while_waiting_leaves_the_queue(
    server: Server, http: httpx.Client
) -> None:
    with ThreadPoolExecutor(1) as callers:
        blocker = callers.submit(post, server, **LONG)
        until(lambda: busy(http))
        connection = begun(server, **SHORT)
        until(lambda: sample(http, _WAITING) == 1)
        connection.close()
        until(lambda: sample(http, _WAITING) == 0)
        assert not blocker.done()
        assert blocker.result().status_code == 200


@pytest.mark.parametrize("deployment", ["pool-shapes-cpu", "router-shapes"])
def test_a_killed_process_costs_no_caller_its_picture(
    server: Server, http: httpx.Client, deployment: str
) -> None:
    undisturbed = post(server, **LONG).json()["data"]
    with ThreadPoolExecutor(1) as callers:
        call = callers.submit(post, server, **LONG)
        until(lambda: busy(http))
        (victim,) = server.replica_pids(deployment)
        os.kill(victim, signal.SIGKILL)
        answer = call.result()
    wait_ready(server)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == undisturbed
    assert answer.json()["receipt"]["attempts"] == 2


def test_killed_gateways_lose_their_connections_and_nothing_else(
    server: Server, http: httpx.Client
) -> None:
    undisturbed = post(server, **SHORT).json()["data"]
    with ThreadPoolExecutor(1) as callers:
        call = callers.submit(post, server, **LONG)
        until(lambda: busy(http))
        for victim in server.replica_pids("gateway"):
            os.kill(victim, signal.SIGKILL)
        failed = call.exception()
        lost = isinstance(failed, httpx.TransportError) if failed else call.result().is_error
    wait_ready(server)
    assert lost
    assert post(server, **SHORT).json()["data"] == undisturbed
