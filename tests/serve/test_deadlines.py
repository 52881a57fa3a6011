"""Deadlines: kept in the best tier that keeps them, or refused at once with the earliest time."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.serve.server import Server, wait_ready
from tests.serve.test_queue import PROMPT, SHORT, busy, post, sample, seconds, until, waited_s

pytestmark = pytest.mark.ray

BLOCKER = {"prompt": PROMPT, "tier": "none", "num_inference_steps": 100, "n": 2, "seed": 1}
ANY = {"prompt": PROMPT, "num_inference_steps": 50, "seed": 1}


@pytest.fixture(scope="module", autouse=True)
def _measured(server: Server) -> None:
    """Nobody is refused before the cost of such jobs is known."""
    for fields in (BLOCKER, BLOCKER, SHORT, ANY | {"tier": "none"}, ANY | {"tier": "ultra"}):
        assert post(server, **fields).status_code == 200


def test_a_deadline_out_of_reach_is_refused_at_once_and_the_earliest_one_is_kept(
    server: Server, http: httpx.Client
) -> None:
    asked: dict[str, Any] = SHORT | {"deadline_ms": 300}
    broken = 'dit_serve_deadline_total{met="false",model="shapes"}'
    before = sample(http, broken)
    with ThreadPoolExecutor(1) as callers:
        blocker = callers.submit(post, server, **BLOCKER)
        until(lambda: busy(http))
        began_s = time.monotonic()
        refused = post(server, **asked)
        told_after_s = time.monotonic() - began_s
        error = refused.json()["error"]
        earliest_s = error["earliest_feasible_s"]
        kept = post(server, **asked | {"deadline_ms": int(2000 * earliest_s)})
        assert blocker.result().status_code == 200
    assert refused.status_code == 429
    assert (error["code"], error["param"]) == ("deadline_out_of_reach", "deadline_ms")
    assert int(refused.headers["retry-after"]) >= 1
    assert earliest_s > 0.3
    assert told_after_s < seconds(blocker.result()), "it is told before a replica is free"
    assert kept.json()["receipt"]["deadline_met"] is True
    assert sample(http, broken) == before, "a refusal breaks no promise"


def earliest_s(server: Server, floor: str) -> float:
    """The nearest deadline that the router takes now for any tier down to a floor.

    It is the router's own forecast: what a request took is another number on a busy machine.
    """
    refused = post(server, **ANY | {"min_tier": floor, "deadline_ms": 1})
    return float(refused.json()["error"]["earliest_feasible_s"])


def test_a_deadline_chooses_the_best_tier_that_keeps_it(server: Server) -> None:
    best, least = (earliest_s(server, floor) for floor in ("none", "ultra"))
    receipt = post(server, **ANY | {"deadline_ms": int(500 * (best + least))}).json()["receipt"]
    assert receipt["tier_requested"] == "auto"
    assert receipt["tier_served"] in ("slow", "medium", "fast", "ultra")
    assert receipt["tier_reason"]


def test_no_deadline_breaks_the_floor(server: Server) -> None:
    least = earliest_s(server, "ultra")
    refused = post(server, **ANY | {"min_tier": "none", "deadline_ms": int(1000 * least)})
    assert refused.status_code == 429
    assert "even in none" in refused.json()["error"]["message"]


def test_a_named_tier_is_not_changed_for_a_deadline_unless_a_range_is_given(
    server: Server,
) -> None:
    best, least = (earliest_s(server, floor) for floor in ("none", "ultra"))
    tight: dict[str, Any] = ANY | {"tier": "none", "deadline_ms": int(500 * (best + least))}
    assert post(server, **tight).json()["error"]["code"] == "deadline_out_of_reach"
    served = post(server, **tight | {"min_tier": "ultra"}).json()["receipt"]["tier_served"]
    assert served != "none"


def test_a_late_request_that_is_accepted_runs_after_one_that_can_make_it(
    server: Server, http: httpx.Client
) -> None:
    waiting = 'dit_serve_queue_requests{model="shapes"}'
    with ThreadPoolExecutor(3) as callers:
        blocker = callers.submit(post, server, **BLOCKER)
        until(lambda: busy(http))
        late = callers.submit(post, server, **BLOCKER | {"deadline_ms": 1, "late": "accept"})
        until(lambda: sample(http, waiting) == 1)
        timely = callers.submit(post, server, **SHORT | {"deadline_ms": 60_000})
        until(lambda: sample(http, waiting) == 2)
        assert not blocker.done()
        first, second = timely.result(), late.result()
    assert first.json()["receipt"]["deadline_met"] is True
    assert second.json()["receipt"]["deadline_met"] is False
    assert waited_s(second) > waited_s(first) + seconds(first)


def test_a_promise_that_a_death_breaks_is_told_when_its_deadline_passes(
    server: Server, http: httpx.Client
) -> None:
    before = sample(http, 'dit_serve_deadline_total{met="false",model="shapes"}')
    with ThreadPoolExecutor(2) as callers:
        blocker = callers.submit(post, server, **BLOCKER)
        until(lambda: busy(http))
        promised = callers.submit(post, server, **SHORT | {"deadline_ms": 5000})
        until(lambda: sample(http, 'dit_serve_queue_requests{model="shapes"}') == 1)
        (victim,) = server.replica_pids("pool-shapes-cpu")
        os.kill(victim, signal.SIGKILL)
        broken = promised.result()
        assert blocker.result().status_code == 200
    wait_ready(server)
    assert (broken.status_code, broken.json()["error"]["code"]) == (504, "deadline_passed")
    assert sample(http, 'dit_serve_deadline_total{met="false",model="shapes"}') == before + 1


def test_a_router_killed_under_load_costs_no_caller_its_picture(
    server: Server, http: httpx.Client
) -> None:
    asked: list[dict[str, Any]] = [
        SHORT | {"seed": 1},
        SHORT | {"seed": 2, "deadline_ms": 60_000},
        SHORT | {"seed": 3, "tier": "slow"},
        ANY | {"seed": 4, "tier": "ultra", "deadline_ms": 60_000, "late": "accept"},
        SHORT | {"seed": 5, "priority": 3},
    ]
    undisturbed = [post(server, **fields).json()["data"] for fields in asked]
    with ThreadPoolExecutor(len(asked) + 1) as callers:
        blocker = callers.submit(post, server, **BLOCKER)
        until(lambda: busy(http))
        calls = [callers.submit(post, server, **fields) for fields in asked]
        until(lambda: sample(http, 'dit_serve_queue_requests{model="shapes"}') == len(asked))
        (victim,) = server.replica_pids("router-shapes")
        os.kill(victim, signal.SIGKILL)
        answers = [call.result() for call in calls]
        assert blocker.result().status_code == 200
    wait_ready(server)
    assert [answer.status_code for answer in answers] == [200] * len(asked)
    assert [answer.json()["data"] for answer in answers] == undisturbed
