"""Gathers over gloo, several at once, as tensor parallelism asks for them."""

from __future__ import annotations

import pytest

from deployments.cpu_acceleration import mend_for_cpu
from tests.engine.worlds import gloo_group, run_world

pytestmark = pytest.mark.filterwarnings("ignore")

ROUNDS = 500
"""Without the mend a rank died within 3,000 rounds in three of six runs: too seldom to count on.

So what it promises is looked at as well: that no gather is under way when the next one begins.
"""


def gather_twice_at_once(rank: int, size: int, rendezvous: str) -> int:
    """In how many rounds two gathers gave what was sent, and at once."""
    import torch
    import torch.distributed as dist
    import torch.distributed._functional_collectives as functional_collectives

    mend_for_cpu()
    right = 0
    with gloo_group(rank, size, rendezvous):
        for _ in range(ROUNDS):
            gathered = [
                functional_collectives.all_gather_single(
                    torch.full((1, 144), value), 1, dist.group.WORLD
                )
                for value in (1.0, 2.0)
            ]
            right += all(type(each) is torch.Tensor for each in gathered) and all(
                bool((each == value).all())
                for each, value in zip(gathered, (1.0, 2.0), strict=True)
            )
    return right


def test_a_gather_is_done_before_the_next_one_begins() -> None:
    assert run_world(gather_twice_at_once, 2) == [ROUNDS, ROUNDS]
