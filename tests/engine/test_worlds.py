"""A world answers rank by rank, and its end is certain: the harness of the parallel tests."""

from __future__ import annotations

import os
import time

import pytest

from tests.engine.worlds import WorldFailed, gloo_group, run_world


def add_up(rank: int, world_size: int, rendezvous: str, start: int) -> tuple[int, int, int]:
    import torch
    import torch.distributed as dist

    with gloo_group(rank, world_size, rendezvous):
        total = torch.tensor(start + rank)
        dist.all_reduce(total)
    return rank, int(total), torch.get_num_threads()


def fail_alone(rank: int, world_size: int, rendezvous: str) -> None:
    if rank == 1:
        raise ValueError("rank one cannot")
    time.sleep(60)


def die_alone(rank: int, world_size: int, rendezvous: str) -> None:
    if rank == 0:
        os._exit(1)
    time.sleep(60)


def wait_for_ever(rank: int, world_size: int, rendezvous: str) -> None:
    if rank == 0:
        time.sleep(60)


def test_a_world_answers_rank_by_rank() -> None:
    assert run_world(add_up, 2, 10) == [(0, 21, 1), (1, 21, 1)]
    assert run_world(add_up, 4, 0) == [(rank, 6, 1) for rank in range(4)]


def test_a_rank_that_raises_ends_the_world_with_its_traceback() -> None:
    with pytest.raises(WorldFailed, match=r"(?s)rank 1: Traceback.*fail_alone.*rank one cannot"):
        run_world(fail_alone, 2)


def test_a_rank_that_dies_ends_the_world() -> None:
    with pytest.raises(WorldFailed, match="rank 0 died without a word"):
        run_world(die_alone, 2)


def test_a_world_does_not_outlive_its_time() -> None:
    with pytest.raises(WorldFailed, match=r"ranks \[0\] of 2 were not done in time"):
        run_world(wait_for_ever, 2, timeout_s=2)
