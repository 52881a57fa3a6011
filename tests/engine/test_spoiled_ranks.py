"""Ranks of a group that spoil a job, or have no memory for it: they stay in step and go on."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cluster.acceleration import ParallelismConfig
from cluster.job import Job
from deployments.engine import EngineSpec, World, build_engine
from tests.engine.spoiled import Outcome, decoded_as, outcome, parts, poisoned
from tests.engine.test_edits import family_of
from tests.engine.test_parallel import STEPS, WORLD_S, job_of, spec_of
from tests.engine.worlds import run_world
from tests.families import family_folder

pytestmark = pytest.mark.filterwarnings("ignore")


def _spoiled_on_ranks(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, port: int, jobs: list[Job]
) -> list[list[Outcome]]:
    """What a rank says of the jobs: as they are, with rank 1's weights or rank 0's VAE spoiled."""
    engine: Any = build_engine(spec, World(rank, size, "127.0.0.1", port, timeout_s=WORLD_S))
    transformer, vae = parts(engine)
    told = [[outcome(engine, job) for job in jobs]]
    with poisoned(transformer.proj_out.weight, math.nan if rank == 1 else 0.5):
        told.append([outcome(engine, job) for job in jobs])
    told.append([outcome(engine, job) for job in jobs])
    with decoded_as(vae, math.inf):
        told.append([outcome(engine, job) for job in jobs])
    told.append([outcome(engine, job) for job in jobs])
    return told


@pytest.mark.parametrize(
    "parallelism",
    [
        ParallelismConfig(ulysses_size=2),
        ParallelismConfig(ulysses_size=2, extra_parallel_modules=("vae",)),
    ],
    ids=["vae on rank 0", "vae divided"],
)
def test_ranks_stay_in_step_whichever_of_them_spoils_a_job(
    tmp_path_factory: pytest.TempPathFactory, parallelism: ParallelismConfig
) -> None:
    """One picture, and five in two batches, of which the first is spoiled already."""
    import torch.distributed as dist

    family = family_of("flux")
    folder = family_folder("flux", tmp_path_factory.mktemp("corrupt"))
    jobs = [job_of(family, guided=False, n=n) for n in (1, 5)]
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    first, second = run_world(
        _spoiled_on_ranks, 2, spec_of(family, folder, parallelism), store.port, jobs
    )
    sound, spoiled, mended, decoded, at_last = first
    assert [kind for kind, _ in sound] == ["made", "made"]
    assert spoiled == 2 * [
        (
            "OutputCorrupt",
            f"corrupt output in tier none: the latents after step 1 of {STEPS} "
            "are not all finite numbers",
        )
    ]
    assert decoded == 2 * [
        (
            "OutputCorrupt",
            "corrupt output in tier none: what the VAE decoded is not all finite numbers",
        )
    ]
    assert mended == at_last == sound
    kinds = [[kind for kind, _ in jobs_told] for jobs_told in second]
    assert kinds[0] == kinds[2] == kinds[3] == kinds[4] == ["made", "made"]
    assert set(kinds[1]) <= {"OutputCorrupt", "Stopped"}


def _out_of_memory_on_ranks(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, port: int, job: Job
) -> list[Outcome]:
    """What a rank says of a job when all have no memory in a step, and rank 0 none to decode."""
    import torch

    engine: Any = build_engine(spec, World(rank, size, "127.0.0.1", port, timeout_s=WORLD_S))
    transformer, vae = parts(engine)

    def refuse(module: Any, inputs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    told = [outcome(engine, job)]
    for module in (transformer.single_transformer_blocks[-1], vae.decoder):
        handle = module.register_forward_pre_hook(refuse)
        told.append(outcome(engine, job))
        handle.remove()
        told.append(outcome(engine, job))
    return told


def test_a_job_too_large_for_its_ranks_fails_alone(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    import torch.distributed as dist

    family = family_of("flux")
    folder = family_folder("flux", tmp_path_factory.mktemp("memory"))
    spec = spec_of(family, folder, ParallelismConfig(ulysses_size=2))
    job = job_of(family, guided=False)
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    first, second = run_world(_out_of_memory_on_ranks, 2, spec, store.port, job)
    assert [kind for kind, _ in first] == ["made", "EngineFailed", "made", "EngineFailed", "made"]
    assert first[0] == first[2] == first[4]
    assert first[1][1] == first[3][1] == second[1][1]
    assert first[1][1].startswith("out of memory: there was not enough for a picture of ")
    assert [kind for kind, _ in second] == ["made", "EngineFailed", "made", "made", "made"]
