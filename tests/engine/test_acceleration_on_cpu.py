"""What a pool's settings do to an engine, as far as a CPU shows it; and what is refused, and how.

Every engine runs in a process of its own: cache-dit patches classes for the whole process.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.acceleration import CacheConfig, ParallelismConfig, QuantizeConfig
from cluster.errors import ConfigError, InvalidRequest
from cluster.job import Job
from cluster.tiers import Tier
from deployments.engine import EngineSpec, Stopped, World, build_engine
from tests.engine.conftest import onward
from tests.engine.test_parallel import TOLERANCE, WORLD_S, draw, job_of, spec_of
from tests.engine.worlds import WorldFailed, run_world
from tests.families import FAMILIES

pytestmark = pytest.mark.filterwarnings("ignore")

FLUX, QWEN, WAN = FAMILIES["flux"], FAMILIES["qwen-image"], FAMILIES["wan2.1"]
ALONE = ParallelismConfig()
ULYSSES_2 = ParallelismConfig(ulysses_size=2)
TP_2 = ParallelismConfig(tp_size=2)

Folders = Callable[[str], Path]


def values_of(spec: EngineSpec, job: Job, tier: Tier = Tier.NONE) -> Any:
    """What rank 0 draws."""
    return draw(spec, {tier: job})[0].pictures[tier][0]


def relative_error(values: Any, expected: Any) -> float:
    return float(np.abs(values - expected).mean() / np.abs(expected).mean())


# Quantization


@pytest.mark.parametrize(
    "quant_type", ["float8", "float8_weight_only", "int8", "int8_weight_only", "int8_per_row"]
)
def test_quantized_weights_draw_nearly_the_same(family_folders: Folders, quant_type: str) -> None:
    plain = spec_of(FLUX, family_folders("flux"), ALONE, dtype="bfloat16")
    quantize = QuantizeConfig.model_validate({"quant_type": quant_type})
    expected = values_of(plain, job_of(FLUX, guided=False))
    values = values_of(
        dataclasses.replace(plain, quantize_config=quantize), job_of(FLUX, guided=False)
    )
    assert 0 < relative_error(values, expected) < 0.05


def test_excluded_layers_are_left_as_they_are(family_folders: Folders) -> None:
    plain = spec_of(FLUX, family_folders("flux"), ALONE, dtype="bfloat16")
    everything = QuantizeConfig(quant_type="int8_weight_only", exclude_layers=("",))
    excluded = dataclasses.replace(plain, quantize_config=everything)
    job = job_of(FLUX, guided=False)
    assert np.array_equal(values_of(excluded, job), values_of(plain, job))


@pytest.mark.parametrize("quant_type", ["float8", "float8_weight_only", "int8_weight_only"])
def test_quantized_weights_go_with_tensor_parallelism(
    family_folders: Folders, quant_type: str
) -> None:
    quantize = QuantizeConfig.model_validate({"quant_type": quant_type})
    alone = spec_of(FLUX, family_folders("flux"), ALONE, dtype="bfloat16")
    job = job_of(FLUX, guided=False, num_inference_steps=2)
    sharded = dataclasses.replace(
        alone, parallelism=TP_2, dims=TP_2.dims(2), quantize_config=quantize
    )
    assert relative_error(values_of(sharded, job), values_of(alone, job)) < 0.05


# Kinds of Ulysses


@pytest.mark.parametrize("family", [FLUX, QWEN], ids=lambda family: family.name)
def test_ulysses_async_draws_the_same(family_folders: Folders, family: Any) -> None:
    folder = family_folders(family.name)
    async_2 = ParallelismConfig(ulysses_size=2, ulysses_async=True)
    job = job_of(family, guided=False)
    values = values_of(spec_of(family, folder, async_2), job)
    assert np.abs(values - values_of(spec_of(family, folder, ALONE), job)).max() <= TOLERANCE


ODD = {"width": 80, "height": 48}
"""15 image tokens, which no two ranks share evenly."""


def test_ulysses_anything_takes_sequences_that_do_not_divide(family_folders: Folders) -> None:
    folder = family_folders("qwen-image")
    anything = ParallelismConfig(ulysses_size=2, ulysses_anything=True)
    job = job_of(QWEN, guided=False, **ODD)
    values = values_of(spec_of(QWEN, folder, anything), job, Tier.ULTRA)
    expected = values_of(spec_of(QWEN, folder, ALONE), job, Tier.ULTRA)
    assert np.abs(values - expected).max() <= TOLERANCE


def _refusals_then_picture(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, port: int, jobs: list[Job]
) -> tuple[str, Any]:
    engine: Any = build_engine(spec, World(rank, size, "127.0.0.1", port, timeout_s=WORLD_S))
    try:
        engine.render(jobs[0], Tier.NONE, onward)
    except InvalidRequest as refusal:
        values, _ = engine.render(jobs[1], Tier.NONE, onward)
        return refusal.message, values[0] if values else None
    return "", None


def in_world(
    target: Callable[..., Any], spec: EngineSpec, jobs: list[Job], *more: Any
) -> list[Any]:
    import torch.distributed as dist

    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    return run_world(target, spec.dims.world_size, spec, store.port, jobs, *more, timeout_s=WORLD_S)


def test_without_it_such_a_size_is_refused_and_the_next_request_served(
    family_folders: Folders,
) -> None:
    spec = spec_of(FLUX, family_folders("flux"), ULYSSES_2)
    jobs = [job_of(FLUX, guided=False, **ODD), job_of(FLUX, guided=False)]
    (message, values), (message_1, _) = in_world(_refusals_then_picture, spec, jobs)
    assert message == message_1
    assert message.startswith("size: 80x48 ")
    assert "ulysses_anything" in message
    expected = values_of(spec_of(FLUX, family_folders("flux"), ALONE), jobs[1])
    assert np.abs(values - expected).max() <= TOLERANCE


# Stopping a group


def _stopped_then_picture(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, port: int, jobs: list[Job], at: int
) -> tuple[int, Any]:
    engine: Any = build_engine(spec, World(rank, size, "127.0.0.1", port, timeout_s=WORLD_S))
    passed = 0

    def boundary(done: int, total: int) -> bool:
        """Rank 1 would go on; rank 0 says no."""
        nonlocal passed
        passed = done
        return rank != 0 or done < at

    with pytest.raises(Stopped):
        engine.render(jobs[0], Tier.FAST, boundary)
    values, _ = engine.render(jobs[1], Tier.FAST, onward)
    return passed, values[0] if values else None


def test_a_stop_reaches_all_ranks_at_one_step_and_leaves_nothing_behind(
    family_folders: Folders,
) -> None:
    spec = spec_of(FLUX, family_folders("flux"), ULYSSES_2)
    jobs = [job_of(FLUX, guided=True, width=128), job_of(FLUX, guided=False)]
    (passed_0, values), (passed_1, _) = in_world(_stopped_then_picture, spec, jobs, 3)
    assert passed_0 == passed_1 == 3
    assert np.array_equal(values, values_of(spec, jobs[1], Tier.FAST))


# Compilation and offload


def _graphs_by_tier(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, jobs: list[tuple[Tier, Job]]
) -> list[int]:
    from torch._dynamo.utils import counters

    engine: Any = build_engine(spec)
    counts = []
    for tier, job in jobs:
        engine.render(job, tier, onward)
        counts.append(counters["stats"]["unique_graphs"])
    return counts


def test_compiled_blocks_are_not_compiled_again_for_another_tier(family_folders: Folders) -> None:
    spec = spec_of(FLUX, family_folders("flux"), ALONE, compile=True)
    job = job_of(FLUX, guided=False)
    tiers = [Tier.NONE, Tier.ULTRA, Tier.FAST, Tier.NONE]
    jobs = [(tier, job) for tier in tiers]
    (counts,) = run_world(_graphs_by_tier, 1, spec, jobs, timeout_s=WORLD_S)
    assert counts[0] > 0
    assert counts == [counts[0]] * len(tiers)


@pytest.mark.parametrize("offload", ["text_encoder", "model"])
def test_offload_changes_nothing_in_the_picture(family_folders: Folders, offload: str) -> None:
    spec = spec_of(FLUX, family_folders("flux"), ALONE)
    job = job_of(FLUX, guided=True)
    offloaded = dataclasses.replace(spec, offload=offload)
    for tier in (Tier.NONE, Tier.ULTRA):
        assert np.array_equal(values_of(offloaded, job, tier), values_of(spec, job, tier))


# Refusals at start


@pytest.mark.parametrize(
    ("family", "settings", "words"),
    [
        (FLUX, {"ulysses_size": 3}, "4 attention heads do not divide by ulysses_size"),
        (FLUX, {"tp_size": 3}, "4 attention heads do not divide by tp_size 3"),
        (WAN, {"ulysses_size": 2, "ulysses_async": True}, "ulysses_async: cache-dit .* has none"),
        (
            FAMILIES["hunyuan-video"],
            {"ulysses_size": 2, "ulysses_anything": True},
            "ulysses_anything: cache-dit splits the mask",
        ),
        (
            FLUX,
            {"ulysses_size": 2, "extra_parallel_modules": ["controlnet"]},
            "FluxPipeline has no controlnet",
        ),
    ],
)
def test_what_a_family_cannot_do_is_refused_when_it_starts(
    family_folders: Folders, family: Any, settings: dict[str, Any], words: str
) -> None:
    parallelism = ParallelismConfig.model_validate(settings)
    spec = spec_of(family, family_folders(family.name), parallelism)
    with pytest.raises(WorldFailed, match=words):
        draw(spec, {Tier.NONE: job_of(family, guided=False)})


def test_more_blocks_than_there_are_is_refused(family_folders: Folders) -> None:
    many = {Tier.FAST: CacheConfig(Fn_compute_blocks=64)}
    spec = spec_of(FLUX, family_folders("flux"), ALONE, tiers=many)
    with pytest.raises(WorldFailed, match="Fn_compute_blocks 64"):
        draw(spec, {Tier.FAST: job_of(FLUX, guided=False)})


@pytest.mark.parametrize("parallelism", [ALONE, ULYSSES_2], ids=["one rank", "two ranks"])
def test_an_attention_backend_that_is_not_installed_is_refused_by_name(
    family_folders: Folders, parallelism: ParallelismConfig
) -> None:
    spec = spec_of(FLUX, family_folders("flux"), parallelism, attention_backend="flash")
    with pytest.raises(WorldFailed, match="ConfigError: attention_backend: flash: "):
        draw(spec, {Tier.NONE: job_of(FLUX, guided=False)})


@pytest.mark.parametrize("parallelism", [ALONE, ULYSSES_2], ids=["one rank", "two ranks"])
def test_the_native_backend_draws_the_same(
    family_folders: Folders, parallelism: ParallelismConfig
) -> None:
    folder, job = family_folders("flux"), job_of(FLUX, guided=False)
    values = values_of(spec_of(FLUX, folder, parallelism, attention_backend="native"), job)
    assert np.abs(values - values_of(spec_of(FLUX, folder, ALONE), job)).max() <= TOLERANCE


def _unknown_class(rank: int, size: int, rendezvous: str, spec: EngineSpec) -> str:
    """The refusal of a transformer that diffusers has and cache-dit does not know."""
    from types import SimpleNamespace

    from diffusers import LatteTransformer3DModel

    from deployments.acceleration import accelerate

    unknown = LatteTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=4,
        sample_size=8,
        patch_size=2,
        num_layers=1,
        cross_attention_dim=16,
        caption_channels=16,
    )
    try:
        accelerate(SimpleNamespace(transformer=unknown), [unknown], spec)
    except ConfigError as refusal:
        return refusal.message
    return ""


def test_a_class_that_cache_dit_does_not_know_is_refused_by_name_at_start(
    family_folders: Folders,
) -> None:
    spec = spec_of(FLUX, family_folders("flux"), ALONE)
    (message,) = run_world(_unknown_class, 1, spec)
    assert "LatteTransformer3DModel" in message


@pytest.mark.slow
def test_eight_ranks_in_three_dimensions_draw_what_one_draws(family_folders: Folders) -> None:
    cube = ParallelismConfig(ulysses_size=2, ring_size=2, tp_size=2)
    folder = family_folders("flux")
    job = job_of(FLUX, guided=False, num_inference_steps=4)
    values = values_of(spec_of(FLUX, folder, cube), job)
    assert np.abs(values - values_of(spec_of(FLUX, folder, ALONE), job)).max() <= TOLERANCE


# Memory


def _bytes_of(tensor: Any) -> int:
    """What a parameter really holds here: the shard of a sharded one, the parts of a quantized."""
    if hasattr(tensor, "to_local"):
        return _bytes_of(tensor.to_local())
    if hasattr(tensor, "__tensor_flatten__"):
        names, _ = tensor.__tensor_flatten__()
        return sum(_bytes_of(getattr(tensor, name)) for name in names)
    return int(tensor.numel() * tensor.element_size())


def _transformer_bytes(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, port: int, jobs: list[Job]
) -> int:
    world = World(rank, size, "127.0.0.1", port, timeout_s=WORLD_S) if size > 1 else None
    engine: Any = build_engine(spec, world)
    return sum(_bytes_of(each) for each in engine._pipeline.transformer.parameters())


@pytest.mark.parametrize("quant_type", [None, "int8_weight_only"])
@pytest.mark.parametrize("parallelism", [ALONE, TP_2], ids=["one rank", "tp 2"])
def test_a_rank_holds_at_most_the_weights_that_plan_tells(
    family_folders: Folders, parallelism: ParallelismConfig, quant_type: str | None
) -> None:
    """At most: `plan` takes the modulation layers for whole, of which cache-dit shards some."""
    from deployments.architecture import pipeline_shape
    from placement.memory import Run, memory_per_rank

    quantize = QuantizeConfig(quant_type=quant_type) if quant_type else None  # type: ignore[arg-type]
    folder = family_folders("flux")
    spec = spec_of(FLUX, folder, parallelism, dtype="bfloat16", quantize_config=quantize)
    run = Run(
        64,
        64,
        dtype_bytes=2,
        quantization=quant_type,
        exclude_layers=quantize.exclude_layers if quantize else (),
        tp_size=spec.dims.tp_size,
        num_ranks=spec.dims.world_size,
    )
    told = memory_per_rank(pipeline_shape(str(folder)), run).weights["transformer"]
    for held in in_world(_transformer_bytes, spec, []):
        assert 0.7 * told <= held <= 1.02 * told
