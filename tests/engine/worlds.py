"""Runs a function in a world of N ranks on this machine, as the parallel tests need it.

Ranks are forked from a server process that has imported torch, diffusers and cache-dit once, so
that a world costs tenths of a second and not N imports of ten seconds. Each has one thread. The
world ends, one way or the other, within its time: a rank that fails or hangs takes all with it.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

PRELOADED = ["tests.engine.preloaded"]


class WorldFailed(Exception):
    """A rank raised, died or took too long; the message holds its traceback."""


def run_world(
    target: Callable[..., Any], world_size: int, *args: Any, timeout_s: float = 60
) -> list[Any]:
    """What `target(rank, world_size, rendezvous, *args)` returned, rank by rank.

    `target`, the arguments and the results must pickle, so `target` stands at the top of a module.
    `rendezvous` is an `init_method` for `torch.distributed.init_process_group`, good for one world.

    Raises:
        WorldFailed: a rank raised or died, or not all were done after `timeout_s`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = (Path(folder) / "store").as_uri()
        ranks = []
        for rank in range(world_size):
            ours, theirs = context.Pipe(duplex=False)
            job = (theirs, target, rank, world_size, rendezvous, *args)
            process = context.Process(target=_be_rank, args=job, daemon=True)
            process.start()
            theirs.close()
            ranks.append((process, ours))
        try:
            results = _collect([pipe for _, pipe in ranks], time.monotonic() + timeout_s)
            for process, _ in ranks:
                process.join(5)
            return results
        finally:
            for process, pipe in ranks:
                process.kill()
                process.join()
                pipe.close()


@contextmanager
def gloo_group(rank: int, world_size: int, rendezvous: str) -> Iterator[None]:
    """The default process group, for targets whose code under test expects to find one."""
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world_size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _be_rank(pipe: Connection, target: Callable[..., Any], *args: Any) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    try:
        answer = (True, target(*args))
    except BaseException:
        answer = (False, traceback.format_exc())
    pipe.send(answer)


def _collect(pipes: list[Connection], deadline: float) -> list[Any]:
    results: dict[int, Any] = {}
    while waiting := [rank for rank in range(len(pipes)) if rank not in results]:
        ready = wait([pipes[rank] for rank in waiting], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise WorldFailed(f"ranks {waiting} of {len(pipes)} were not done in time")
        for rank in waiting:
            if pipes[rank] not in ready:
                continue
            try:
                done, answer = pipes[rank].recv()
            except EOFError:
                raise WorldFailed(f"rank {rank} died without a word") from None
            if not done:
                raise WorldFailed(f"rank {rank}: {answer}")
            results[rank] = answer
    return [results[rank] for rank in range(len(pipes))]
