"""N ranks draw what one process draws, for each family in each shape, with each kind of cache.

What cannot be done is refused when the engine starts, with its reason. Both make the table of
docs/parallelism.md, which is held against what was seen; `--write-docs` writes it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.acceleration import CacheConfig, ParallelismConfig
from cluster.job import Job
from cluster.pool import Watchdog
from cluster.tiers import Tier
from deployments.engine import EngineSpec, World, build_engine
from tests.engine.conftest import onward
from tests.engine.parallelism_table import EQUAL, REFUSED, documented, write
from tests.engine.worlds import WorldFailed, run_world
from tests.families import FAMILIES, Family

pytestmark = pytest.mark.filterwarnings("ignore")

TOLERANCE = 5e-6
MASK = (1, 1, 0, 0, 1)
STEPS = len(MASK)
WORLD_S = 240.0

SHAPES: Mapping[str, ParallelismConfig] = {
    "ulysses 2": ParallelismConfig(ulysses_size=2),
    "ring 2": ParallelismConfig(ring_size=2),
    "tp 2": ParallelismConfig(tp_size=2),
    "ulysses 2 + tp 2": ParallelismConfig(ulysses_size=2, tp_size=2),
    "ulysses 2 + ring 2": ParallelismConfig(ulysses_size=2, ring_size=2),
    "ulysses 2 + text encoder + vae": ParallelismConfig(
        ulysses_size=2, extra_parallel_modules=("text_encoder", "vae")
    ),
}
REFUSALS = {
    ("hunyuan-video", "ring 2"): "masks the padding of its text",
    ("hunyuan-video", "ulysses 2 + ring 2"): "masks the padding of its text",
}
"""Family and shape, and the reason why they do not go together."""

THRESHOLD = 0.29
"""The residual difference up to which a step that may be cached is: some are, in every family."""


TIERS = {
    Tier.NONE: CacheConfig(Fn_compute_blocks=1),
    Tier.FAST: CacheConfig(
        Fn_compute_blocks=1,
        residual_diff_threshold=THRESHOLD,
        max_warmup_steps=2,
        enable_taylorseer=True,
        steps_computation_mask=MASK,
        steps_computation_policy="dynamic",
    ),
    Tier.ULTRA: CacheConfig(
        Fn_compute_blocks=1, steps_computation_mask=MASK, steps_computation_policy="static"
    ),
}
"""No cache; a dynamic mask with TaylorSeer; a static mask."""


@dataclasses.dataclass
class Drawn:
    """What a rank drew.

    By tier: the values of the picture (rank 0 only), steps cached, residual differences. `tokens`
    and `rows` are this rank's share of the work: of a block's sequence, and of a query's weights.
    """

    pictures: dict[Tier, tuple[Any, int, tuple[Mapping[int, float], ...]]]
    tokens: int
    rows: int


def spec_of(
    family: Family, folder: Path, parallelism: ParallelismConfig, **settings: Any
) -> EngineSpec:
    num_ranks = _ranks(parallelism)
    spec = EngineSpec(
        model=family.name,
        pool="test",
        source=str(folder),
        device="cpu",
        dtype="float32",
        generator_device="cpu",
        threads=1,
        dims=parallelism.dims(num_ranks),
        parallelism=parallelism,
        tiers=TIERS,
        attention_backend=None,
        quantize_config=None,
        compile=False,
        offload="none",
        vae_tiling=False,
        max_sequence_length=family.arguments.get("max_sequence_length"),
        warm_up_size=(64, 64),
        warm_up_frames=family.arguments.get("num_frames"),
        watchdog=Watchdog(),
        config_hash="",
    )
    return dataclasses.replace(spec, **settings)


def job_of(family: Family, *, guided: bool, **fields: Any) -> Job:
    """A small job of a family, of `STEPS` steps."""
    arguments = family.call_arguments(guided=guided)
    known = {field.name for field in dataclasses.fields(Job)}
    settled: dict[str, Any] = {
        "request_id": "test",
        "model": family.name,
        "task": family.task,
        "n": 1,
        "tier_requested": "none",
        "min_tier": None,
        "num_inference_steps": STEPS,
        "seed": 3,
        "output_format": "webp" if family.makes_video else "png",
    }
    settled |= {name: value for name, value in arguments.items() if name in known}
    if family.takes_image:
        settled["images"] = (_picture_file(arguments["image"]),)
    return Job(**settled | fields)


def draw_on_rank(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, port: int, jobs: dict[Tier, Job]
) -> Drawn:
    """What one rank of a world draws in each tier; runs in a process of its own."""
    world = World(rank, size, "127.0.0.1", port, timeout_s=WORLD_S) if size > 1 else None
    engine: Any = build_engine(spec, world)
    queries = [
        module
        for name, module in engine._pipeline.transformer.named_modules()
        if name.endswith("to_q")
    ]
    tokens: list[int] = []
    queries[-1].register_forward_pre_hook(lambda _, inputs: tokens.append(inputs[0].shape[1]))
    pictures = {}
    for tier, job in jobs.items():
        values, result = engine.render(job, tier, onward)
        pictures[tier] = (values[0] if values else None, result.steps_cached, result.residual_diffs)
    weight = queries[-1].weight
    local = weight.to_local() if hasattr(weight, "to_local") else weight
    return Drawn(pictures, max(tokens), local.shape[0])


def draw(spec: EngineSpec, jobs: dict[Tier, Job]) -> list[Drawn]:
    """What the ranks of a world draw, rank by rank."""
    import torch.distributed as dist

    size = spec.dims.world_size
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    return run_world(draw_on_rank, size, spec, store.port, jobs, timeout_s=WORLD_S)


def jobs_of(family: Family) -> dict[Tier, Job]:
    """One per tier; with guidance in the static one, so that both of its calls are cached."""
    return {tier: job_of(family, guided=tier is Tier.ULTRA) for tier in TIERS}


@pytest.fixture(scope="module")
def seen() -> dict[tuple[str, str], str]:
    """What became of each family in each shape, as the tests see it."""
    return {}


@pytest.fixture(scope="module")
def single(family_folders: Callable[[str], Path]) -> Callable[[str, bool], Drawn]:
    """What one process draws of a family, with a tiled VAE or not; drawn once."""
    known: dict[tuple[str, bool], Drawn] = {}

    def look_up(name: str, tiled: bool) -> Drawn:
        if (name, tiled) not in known:
            family = FAMILIES[name]
            spec = spec_of(family, family_folders(name), ParallelismConfig(), vae_tiling=tiled)
            known[name, tiled] = draw(spec, jobs_of(family))[0]
        return known[name, tiled]

    return look_up


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FAMILIES)
def test_ranks_draw_what_one_process_draws(
    name: str,
    shape: str,
    single: Callable[[str, bool], Drawn],
    family_folders: Callable[[str], Path],
    seen: dict[tuple[str, str], str],
) -> None:
    family, parallelism = FAMILIES[name], SHAPES[shape]
    spec = spec_of(family, family_folders(name), parallelism)
    if reason := REFUSALS.get((name, shape)):
        with pytest.raises(WorldFailed, match=reason):
            draw(spec, jobs_of(family))
        seen[name, shape] = REFUSED
        return
    alone = single(name, "vae" in parallelism.extra_parallel_modules)
    ranks = draw(spec, jobs_of(family))
    for rank in ranks:
        assert rank.tokens * spec.dims.ulysses_size * spec.dims.ring_size == alone.tokens
        assert rank.rows * spec.dims.tp_size == alone.rows
    for tier, (expected, cached_alone, _) in alone.pictures.items():
        values, cached, diffs = ranks[0].pictures[tier]
        assert np.abs(values - expected).max() <= TOLERANCE, tier
        assert cached == cached_alone
        assert (cached > 0) == (tier is not Tier.NONE)
        assert [rank.pictures[tier][1:] for rank in ranks] == [(cached, diffs)] * len(ranks)
    seen[name, shape] = EQUAL


def test_the_documented_table_is_what_was_seen(
    seen: dict[tuple[str, str], str], pytestconfig: pytest.Config
) -> None:
    table = documented()
    if pytestconfig.getoption("--write-docs"):
        table |= seen
        write(table, list(FAMILIES), list(SHAPES))
    assert {cell: table[cell] for cell in seen} == seen


def _ranks(parallelism: ParallelismConfig) -> int:
    sizes = (parallelism.ulysses_size, parallelism.ring_size, parallelism.tp_size)
    product = 1
    for size in sizes:
        product *= size if isinstance(size, int) else 1
    return product


def _picture_file(picture: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
