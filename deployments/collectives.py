"""The ranks of a replica as a `torch.distributed` world, and what they agree on at each step.

Imports no Ray. Every replica has a world of its own: cache-dit decides over the default group.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

import torch
import torch.distributed as dist

from deployments.engine import World

_BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


class Group(Protocol):
    """The ranks that do a job together."""

    rank: int
    size: int

    def agree(self, go_on: bool) -> bool:
        """Whether all go on: what rank 0 says. Every rank calls it at every step boundary."""
        ...


class Alone:
    """No parallelism: a group of one, which agrees with itself."""

    rank = 0
    size = 1

    def agree(self, go_on: bool) -> bool:
        return go_on


class Together:
    """The ranks of a world; joining it waits until all have come.

    They agree over a gloo group of their own, on the CPU, so that a step boundary neither waits
    for the device nor mixes with the collectives of the step.
    """

    def __init__(self, world: World, store: dist.Store, device: str) -> None:
        timeout = timedelta(seconds=world.timeout_s)
        dist.init_process_group(
            _BACKENDS[device], store=store, rank=world.rank, world_size=world.size, timeout=timeout
        )
        self.rank = world.rank
        self.size = world.size
        self._boundary_group = dist.new_group(backend="gloo", timeout=timeout)

    def agree(self, go_on: bool) -> bool:
        said = torch.tensor([go_on], dtype=torch.uint8)
        dist.broadcast(said, src=0, group=self._boundary_group)
        return bool(said.item())


def open_store(host: str) -> dist.TCPStore:
    """The store at which the ranks of a replica meet; rank 0 opens it, on a free port of `host`."""
    return dist.TCPStore(host, 0, is_master=True, wait_for_workers=False)


def join(world: World | None, store: dist.Store | None, device: str) -> Group:
    """The group of this process; `store` is the one that rank 0 opened itself."""
    if world is None:
        return Alone()
    if store is None:
        timeout = timedelta(seconds=world.timeout_s)
        store = dist.TCPStore(world.host, world.port, is_master=False, timeout=timeout)
    return Together(world, store, device)
