"""The only place that builds cache-dit, torchao and compile objects.

`accelerate` does it once, when a rank starts, in the order that cache-dit wants: cache, ranks,
quantization, compilation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cache_dit
import torch
from cache_dit.attention import set_attn_backend
from cache_dit.distributed.async_ulysses import AsyncUlyssesRegistry
from cache_dit.distributed.transformers.register import ContextParallelismPlannerRegister

from cluster.acceleration import CacheConfig, ParallelismConfig, QuantizeConfig
from cluster.errors import ConfigError
from deployments.cache_dit_mends import mend_cache_dit
from deployments.cpu_acceleration import mend_for_cpu
from deployments.engine import EngineSpec
from deployments.pipeline_loading import TEXT_ENCODERS
from placement.parallel import PlacementError, check_heads

_OURS = {
    "enable_taylorseer",
    "taylorseer_order",
    "steps_computation_mask",
    "scm_compute_bins",
    "scm_cache_bins",
}

_MASKS_ITS_TEXT = {"HunyuanVideoTransformer3DModel"}


def accelerate(pipeline: Any, transformers: Sequence[torch.nn.Module], spec: EngineSpec) -> None:
    """Gives the transformers of a pipeline their cache, ranks, quantization and compilation.

    With more than one rank, every rank of the group must call it.

    Raises:
        ConfigError: the installed libraries cannot do that for these classes; says why.
    """
    mend_cache_dit()
    if spec.device == "cpu":
        mend_for_cpu()
    extra = _extra_modules(pipeline, spec.parallelism, spec.source)
    for transformer in transformers:
        name = f"{spec.source}: cache-dit {cache_dit.__version__} and {type(transformer).__name__}"
        config = _parallelism_config(spec, extra)
        try:
            if config is not None:
                _prepare_for_ranks(transformer, config, spec)
            _enable_cache(transformer, spec)
            if config is not None:
                cache_dit.enable_cache(transformer, parallelism_config=config)
            _set_attention_backend(transformer, spec.attention_backend)
            if spec.quantize_config is not None:
                cache_dit.quantize(transformer, _quantize_config(spec.quantize_config))
        except (ValueError, AssertionError, NotImplementedError) as error:
            raise ConfigError(f"{name}: {' '.join(str(error).split())}") from error
        if not getattr(transformer, "_context_names", None):
            raise ConfigError(f"{name}: it knows no cache for this class")
        if spec.compile:
            transformer.compile_repeated_blocks()


def db_cache_config(
    cache: CacheConfig, mask: list[int] | None, steps: int | None, separate_cfg: bool | None
) -> cache_dit.DBCacheConfig:
    """cache-dit's settings for one picture."""
    settings: dict[str, Any] = cache.model_dump(exclude=_OURS)
    settings |= {
        "num_inference_steps": steps,
        "steps_computation_mask": mask,
        "enable_separate_cfg": separate_cfg,
    }
    return cache_dit.DBCacheConfig(**settings)


def taylorseer_config(cache: CacheConfig) -> cache_dit.TaylorSeerCalibratorConfig:
    """cache-dit's settings for a picture whose cached steps are extrapolated."""
    return cache_dit.TaylorSeerCalibratorConfig(
        enable_calibrator=True,
        enable_encoder_calibrator=False,
        taylorseer_order=cache.taylorseer_order,
    )


def _enable_cache(transformer: torch.nn.Module, spec: EngineSpec) -> None:
    some_tier = next(iter(spec.tiers.values()))
    cache_dit.enable_cache(
        transformer,
        cache_config=db_cache_config(some_tier, None, None, some_tier.enable_separate_cfg),
    )


def _set_attention_backend(transformer: torch.nn.Module, backend: str | None) -> None:
    """By itself, since `enable_cache` drops it, with a warning, for a transformer.

    Raises:
        ConfigError: the library of that backend is not installed.
    """
    if backend is None:
        return
    try:
        set_attn_backend(transformer, backend)
    except (RuntimeError, ImportError, ValueError) as error:
        raise ConfigError(
            f"attention_backend: {backend}: {' '.join(str(error).split())}"
        ) from error


def _prepare_for_ranks(
    transformer: torch.nn.Module, config: cache_dit.ParallelismConfig, spec: EngineSpec
) -> None:
    """Refuses what cannot be divided, and lets the class be patched before the cache is enabled.

    The planners of some classes (HunyuanVideo) put a `forward` of theirs in place of the class's.
    The cache keeps the `forward` that it finds, so it would run the old one, and be wrong.
    """
    parallelism, dims = spec.parallelism, spec.dims
    check_heads(dims, _heads(transformer), ulysses_anything=parallelism.ulysses_anything)
    name = type(transformer).__name__
    if parallelism.ulysses_async:
        _refuse_without_async(transformer)
    if name in _MASKS_ITS_TEXT and dims.ring_size > 1:
        raise ConfigError(
            f"ring_size: {name} masks the padding of its text, and ring attention takes no mask; "
            "use ulysses_size"
        )
    if name in _MASKS_ITS_TEXT and parallelism.ulysses_anything:
        raise ConfigError(
            f"ulysses_anything: cache-dit splits the mask of {name} otherwise than its uneven "
            "sequence; leave it out"
        )
    if config.cp_enabled():
        planner = ContextParallelismPlannerRegister.get_planner(transformer)()
        planner.apply(transformer=transformer, parallelism_config=config)


def _parallelism_config(
    spec: EngineSpec, extra: list[torch.nn.Module]
) -> cache_dit.ParallelismConfig | None:
    """None for one rank. Sizes of 1 are left out: cache-dit takes a stated size for a wish."""
    if spec.dims.world_size == 1:
        return None
    dims, parallelism = spec.dims, spec.parallelism
    sizes = {
        "ulysses_size": dims.ulysses_size,
        "ring_size": dims.ring_size,
        "tp_size": dims.tp_size,
    }
    return cache_dit.ParallelismConfig(
        **{name: size for name, size in sizes.items() if size > 1},
        ulysses_anything=parallelism.ulysses_anything,
        ulysses_float8=parallelism.ulysses_float8,
        ulysses_async=parallelism.ulysses_async,
        extra_parallel_modules=extra,
    )


def _extra_modules(
    pipeline: Any, parallelism: ParallelismConfig, source: str
) -> list[torch.nn.Module]:
    """The modules that `extra_parallel_modules` names.

    Of several text encoders it is the largest, as cache-dit takes it.
    """
    modules = []
    for name in parallelism.extra_parallel_modules:
        names = TEXT_ENCODERS if name == "text_encoder" else (name,)
        found = [getattr(pipeline, each, None) for each in names]
        known = [module for module in found if module is not None]
        if not known:
            raise ConfigError(
                f"{source}: extra_parallel_modules: {type(pipeline).__name__} has no {name}"
            )
        modules.append(max(known, key=lambda module: sum(p.numel() for p in module.parameters())))
    return modules


def _refuse_without_async(transformer: torch.nn.Module) -> None:
    try:
        AsyncUlyssesRegistry.get_planner(transformer)
    except ValueError as error:
        raise ConfigError(
            f"ulysses_async: cache-dit {cache_dit.__version__} has none for "
            f"{type(transformer).__name__}; leave it out"
        ) from error


def _heads(transformer: torch.nn.Module) -> int:
    """Attention heads, under the name that the transformer's class has for them."""
    config: Any = transformer.config
    for name in ("num_attention_heads", "n_heads", "num_heads"):
        if name in config:
            return int(config[name])
    raise PlacementError(f"{type(transformer).__name__} does not tell its number of heads")


def _quantize_config(quantize: QuantizeConfig) -> cache_dit.QuantizeConfig:
    return cache_dit.QuantizeConfig(
        quant_type=quantize.quant_type,
        exclude_layers=list(quantize.exclude_layers),
        verbose=quantize.verbose,
    )
