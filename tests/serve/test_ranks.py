"""Replicas of several ranks, with real Ray, fake GPUs and gloo: what they draw and survive.

Two pools stand under one endpoint: two replicas of two ranks, and one of four.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve.faults import (
    OUT_OF_MEMORY,
    PROMPT,
    deaths,
    draw,
    outputs_refused,
    parallel_config,
    steady_load,
    until,
    variables,
)
from tests.serve.recovery import Disturbance
from tests.serve.server import Server, serving

ROUNDS = 4

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

STALLED_S = 5.0


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    config = parallel_config(folder / "config.yaml", _pair_and_quad)
    with serving(config, folder, **variables(gpus=8)) as server:
        yield server


def _pair_and_quad(pair: dict[str, Any]) -> list[dict[str, Any]]:
    pair |= {
        "autoscaling": {"min_replicas": 2, "max_replicas": 2},
        "watchdog": {"min_s": STALLED_S, "multiple": 2, "unknown_s": 30},
        "tiers": ["none", "fast", "ultra"],
    }
    quad = pair | {
        "name": "quad",
        "num_ranks": 4,
        "parallelism_config": {"ulysses_size": 2, "ring_size": "auto"},
        "autoscaling": {"min_replicas": 1, "max_replicas": 1},
        "tiers": ["slow", "medium"],
    }
    return [pair, quad]


def test_each_pool_serves_its_tiers_in_its_shape(ranks: Server) -> None:
    pair = draw(ranks, tier="none")["receipt"]
    quad = draw(ranks, tier="slow")["receipt"]
    assert (pair["pool"], pair["parallelism"]) == ("pair", "ulysses2")
    assert (quad["pool"], quad["parallelism"]) == ("quad", "ulysses2+ring2")
    assert (pair["steps_computed"], quad["steps_computed"]) == (28, 18)


def test_a_group_draws_the_same_bytes_each_time(ranks: Server) -> None:
    first, again = draw(ranks, tier="ultra"), draw(ranks, tier="ultra")
    assert first["data"] == again["data"]


def test_both_replicas_of_a_shape_draw_the_same_bytes(ranks: Server) -> None:
    """Two at once, of which neither waits for the other: so each has a replica of its own."""
    with ThreadPoolExecutor(2) as callers:
        one, other = callers.map(lambda _: draw(ranks, tier="none"), range(2))
    for first, second in ((one, other), (other, one)):
        assert first["receipt"]["queue_s"] < second["receipt"]["denoise_s"]
    assert one["data"] == other["data"]


def test_a_caller_that_goes_away_stops_all_ranks_and_leaves_nothing_behind(ranks: Server) -> None:
    before = draw(ranks, tier="slow")["data"]
    with ranks.client(timeout_s=1.0) as client, pytest.raises(httpx.ReadTimeout):
        client.post(
            "/v1/images/generations",
            json={"prompt": PROMPT, "tier": "slow", "num_inference_steps": 100, "n": 8},
        )
    pids = ranks.rank_pids()
    assert draw(ranks, tier="slow")["data"] == before
    assert ranks.rank_pids() == pids


STOPPED_AND_SENT_AGAIN = """
import sys
import ray
from ray import serve
from cluster.job import Job
from cluster.progress import Seen
from cluster.tiers import Tier

ray.init(address=sys.argv[1], log_to_driver=False)
router = serve.get_deployment_handle("router-shapes", "dit-serve")
job = Job("twice", "shapes", sys.argv[2], 1, 128, 128, "slow", Tier.SLOW, 40, 1)

def seen():
    return router.watch.remote("twice", Seen()).result(timeout_s=20)

first = router.generate.remote(job)
while (now := seen()) is None or now.progress.steps_done == 0:
    pass
first.cancel()
while seen() is not None:
    pass
receipt = router.generate.remote(job).result(timeout_s=60).receipt
print(receipt.steps_computed + receipt.steps_cached)
"""


def test_a_job_that_was_stopped_can_be_sent_again(ranks: Server) -> None:
    """As a gateway does with a video of which it had lost the lease."""
    assert ranks.driven_by(STOPPED_AND_SENT_AGAIN, PROMPT) == "40"


@pytest.fixture(scope="module")
def undisturbed(ranks: Server) -> list[Any]:
    return [answer["data"] for answer in steady_load(ranks, lambda: None).answers]


def are_gone(server: Server, pids: Sequence[int]) -> bool:
    return not set(pids) & set(server.rank_pids())


@pytest.mark.parametrize(
    "fault",
    [signal.SIGKILL, OUT_OF_MEMORY, signal.SIGSTOP, signal.SIGUSR1],
    ids=["killed", "out of memory", "stopped", "gives NaN"],
)
def test_a_rank_that_fails_costs_no_caller_its_picture(
    ranks: Server, undisturbed: list[Any], fault: int
) -> None:
    """A rank may be killed between two requests, which tells little: then it is done again.

    One that gives NaN is found out by rank 0, and ends since it cannot make a small picture either.
    """
    for _ in range(ROUNDS):
        dead, refused = deaths(ranks, "pair"), outputs_refused(ranks, "pair")
        disturbance = Disturbance(ranks, "pair", fault)
        load = steady_load(ranks, disturbance.begin)
        until(partial(are_gone, ranks, disturbance.group), 60)
        print(disturbance.recovery())
        assert deaths(ranks, "pair") == dead + 1
        gave_nan = fault is signal.SIGUSR1
        assert outputs_refused(ranks, "pair") == refused + gave_nan
        assert load.failures == []
        assert [answer["data"] for answer in load.answers] == undisturbed
        if any(answer["receipt"]["attempts"] > 1 for answer in load.answers):
            return
    pytest.fail("the rank was at work in no round")
