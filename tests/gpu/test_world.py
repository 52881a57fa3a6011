"""A world of one rank with NCCL: what a rank of a group does on CUDA, but for the other ranks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.tiers import Tier
from deployments.engine import World
from tests.gpu.conftest import Tell
from tests.gpu.engines import DEVICE, EMBEDDED, difference, draw, engine_in, engine_of

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def _leave_the_world() -> Iterator[None]:
    import torch.distributed as dist

    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_a_world_has_nccl_for_the_device_and_gloo_for_the_step_boundary(tell: Tell) -> None:
    import torch
    import torch.distributed as dist

    from deployments.collectives import Together, open_store

    store = open_store("127.0.0.1")
    group = Together(World(0, 1, "127.0.0.1", store.port, timeout_s=60), store, DEVICE)
    summed = torch.full((1000,), 2.0, device=DEVICE)
    dist.all_reduce(summed)
    assert summed.sum().item() == 2000.0
    assert (group.agree(True), group.agree(False)) == (True, False)
    backends = str(dist.distributed_c10d._world.pg_backend_config[dist.group.WORLD])
    assert backends == "cpu:gloo,cuda:nccl"
    tell(backends=backends, nccl=".".join(map(str, torch.cuda.nccl.version())))


@pytest.mark.parametrize("tier", [Tier.NONE, Tier.FAST])
def test_the_only_rank_of_a_world_draws_what_a_process_alone_draws(tell: Tell, tier: Tier) -> None:
    from deployments.collectives import open_store

    alone = draw(engine_of(EMBEDDED), tier)
    store = open_store("127.0.0.1")
    world = World(0, 1, "127.0.0.1", store.port, timeout_s=60)
    ranked = draw(engine_in(world, store, EMBEDDED), tier)
    tell(difference=difference(ranked, alone), steps_computed=ranked.result.steps_computed)
    assert difference(ranked, alone) == 0
    assert ranked.result.steps_computed == alone.result.steps_computed
