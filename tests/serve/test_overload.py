"""More requests than the server can serve: each is answered, and the server is right after.

`make overload` and `make soak` run for minutes and hold bars; here their programs run for seconds.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from benchmarks.overload_verdict import Latencies, goodput, statuses
from benchmarks.picture_calls import (
    PROMPT,
    Asking,
    as_fast_as_made,
    caller,
    faster,
    right_pictures,
)
from benchmarks.process_sizes import OURS, by_role, sizes
from benchmarks.ray_state import living
from benchmarks.soak_kinds import KINDS, Caller
from tests.serve.server import Server

pytestmark = pytest.mark.ray

FIELDS = {"prompt": PROMPT, "tier": "none", "min_tier": "none", "num_inference_steps": 12}
TIMES = 5.0
SECONDS = 12.0
WINDOW_S = 4.0

FASTER, TRIES = 2.0, 3
"""Who serves that much more than the capacity had a busy machine when that was measured.

So the crowd was none; it comes again, as large as what was served says.
"""


def test_five_times_the_capacity_is_served_or_refused_and_nothing_is_lost(server: Server) -> None:
    asking = Asking(server.url, FIELDS, right_pictures(server.url, FIELDS))

    def undisturbed() -> float:
        """Right answers a second to callers who wait for theirs."""
        done = process.submit(as_fast_as_made, asking, 2, WINDOW_S).result()
        return goodput(done.calls, WINDOW_S)

    with caller() as process:
        before = capacity = undisturbed()
        for _ in range(TRIES):
            crowd = Asking(server.url, FIELDS, asking.right, deadline_s=4 / capacity)
            asked = process.submit(faster, crowd, TIMES * capacity, SECONDS, 1).result()
            served = goodput(asked.calls, SECONDS)
            if served < FASTER * capacity:
                break
            capacity = served
        after = undisturbed()
    answers = statuses(asked.calls)
    assert set(answers) <= {200, 429, 504}
    assert answers[429] > answers[200] > 0
    assert all(call.outcome.right for call in asked.calls if call.outcome.status == 200)
    assert served > min(before, after) / 2, "the machine may be busy with other tests"
    refused = [call.took_s for call in asked.calls if call.outcome.status == 429]
    assert Latencies.of(refused).p50_s < 1.0
    assert right_pictures(server.url, FIELDS) == asking.right


def test_what_is_sampled_is_there(server: Server) -> None:
    totals = by_role(sizes(server))
    for role in ("gateway", "router-shapes", "pool-shapes-cpu", "Serve's proxy", "raylet"):
        assert totals[role].memory_mb > 10
        assert totals[role].files > 3
        assert totals[role].threads >= 1
    assert all(
        first.startswith(OURS) or not second.startswith(OURS)
        for first, second in zip(totals, list(totals)[1:], strict=False)
    )
    for gateway in server.replica_pids("gateway"):
        told = Path(f"/proc/{gateway}/environ").read_bytes().split(b"\0")
        assert b"MALLOC_ARENA_MAX=2" in told
    found = living(server.ray_address())
    assert found["placement groups"] >= 2
    assert found["actor ServeController"] == 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "wrong keys"])
def test_each_kind_of_a_soak_is_answered_as_it_must_be(server: Server, kind: str) -> None:
    """Twice, since the second answer is held against the first; this server asks for no keys."""
    keys = dict.fromkeys(("generate", "metrics"), "not-used")

    async def twice() -> Caller:
        async with httpx.AsyncClient(base_url=server.url, timeout=120) as client:
            caller = Caller(client, keys)
            for _ in range(2):
                await KINDS[kind][0](caller)
        return caller

    assert asyncio.run(twice()).requests or kind == "caller goes away"
