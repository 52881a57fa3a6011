"""The arms without us: diffusers as its users call it, and cache-dit as its documents say.

They use nothing of `deployments.engine_diffusers`; all they share with the engine is the step mask,
the call's arguments and the PNG at the end, so that they do the same work.
"""

from __future__ import annotations

import inspect
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cache_dit
import torch
from diffusers import DiffusionPipeline

from benchmarks.runs import Making
from cluster.acceleration import CacheConfig
from cluster.errors import ConfigError
from cluster.job import Job
from cluster.tiers import Tier
from deployments.cached_transformer import step_mask
from deployments.engine import EngineSpec
from deployments.pictures import encode

_BLOCK_LISTS = ("transformer_blocks", "single_transformer_blocks", "blocks", "layers")


@dataclass(frozen=True)
class _Call:
    """A picture as PNG, and the seconds of its stages as in `Making`."""

    picture: bytes
    encode_s: float
    denoise_s: float
    decode_s: float

    def making(self, whole_s: float, steps_computed: int, steps_cached: int) -> Making:
        return Making(
            self.picture,
            self.encode_s,
            self.denoise_s,
            self.decode_s,
            whole_s,
            steps_computed,
            steps_cached,
        )


class TimedPipeline:
    """A diffusers pipeline called as its users call it, with a watch on its stages.

    With `cache`, cache-dit is enabled on its transformer; `contexts` says how many lists of blocks
    cache-dit then caches, each with its own Fn and Bn blocks.
    """

    def __init__(self, spec: EngineSpec, cache: CacheConfig | None = None) -> None:
        self._spec = spec
        self.pipeline: Any = DiffusionPipeline.from_pretrained(
            spec.source,
            dtype=getattr(torch, spec.dtype),
            use_safetensors=True,
            local_files_only=Path(spec.source).exists(),
        ).to(spec.device)
        self.pipeline.set_progress_bar_config(disable=True)
        if spec.vae_tiling:
            self.pipeline.vae.enable_tiling()
        self.contexts = 0 if cache is None else enable_cache(self.pipeline.transformer, cache)
        if spec.compile:
            self.pipeline.transformer.compile_repeated_blocks()
        self._first_call_s: float | None = None
        self.pipeline.transformer.register_forward_pre_hook(self._note_call)

    def now(self) -> float:
        """Seconds, with the device's work up to here done."""
        return now(self._spec.device)

    def call(self, job: Job) -> _Call:
        """Makes the job's first picture."""
        last_step_s = 0.0

        def after_step(pipeline: Any, step: int, timestep: Any, tensors: Any) -> dict[str, Any]:
            nonlocal last_step_s
            if step + 1 == job.num_inference_steps:
                last_step_s = self.now()
            return {}

        self._first_call_s = None
        generator = torch.Generator(self._spec.generator_device).manual_seed(job.seed)
        started_s = self.now()
        output = self.pipeline(
            **self._arguments(job), generator=generator, callback_on_step_end=after_step
        )
        png = encode([output.images[0]], "png", None, fps=1)
        finished_s = self.now()
        if self._first_call_s is None:
            raise RuntimeError("the pipeline never called its transformer")
        return _Call(
            png,
            self._first_call_s - started_s,
            last_step_s - self._first_call_s,
            finished_s - last_step_s,
        )

    def _arguments(self, job: Job) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "prompt": job.prompt,
            "width": job.width,
            "height": job.height,
            "num_inference_steps": job.num_inference_steps,
            "output_type": "pil",
        }
        takes = inspect.signature(self.pipeline.__call__).parameters
        if self._spec.max_sequence_length is not None and "max_sequence_length" in takes:
            arguments["max_sequence_length"] = self._spec.max_sequence_length
        return arguments

    def _note_call(self, module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        if self._first_call_s is None:
            self._first_call_s = self.now()


class DiffusersArm:
    """Bare diffusers: no cache anywhere."""

    def __init__(self, timed: TimedPipeline) -> None:
        self._timed = timed

    def make(self, job: Job) -> Making:
        started_s = self._timed.now()
        call = self._timed.call(job)
        whole_s = self._timed.now() - started_s
        return call.making(whole_s, job.num_inference_steps, 0)


class CacheDitArm:
    """Bare cache-dit with the settings of a tier; the context is reset before each picture."""

    def __init__(self, timed: TimedPipeline, cache: CacheConfig, tier: Tier) -> None:
        self._timed, self._cache, self._tier = timed, cache, tier
        self._transformer = timed.pipeline.transformer

    def make(self, job: Job) -> Making:
        steps = job.num_inference_steps
        started_s = self._timed.now()
        manager, names = self._transformer._context_manager, self._transformer._context_names
        mask, _ = step_mask(self._cache, self._tier, steps)
        at_enable = self._transformer._context_kwargs["cache_config"]
        config = db_cache_config(self._cache, at_enable.enable_separate_cfg, steps, mask)
        calibrator = self._calibrator()
        for name in names:
            manager.reset_context(name, cache_config=config, calibrator_config=calibrator)
        call = self._timed.call(job)
        whole_s = self._timed.now() - started_s
        cached = set.intersection(
            *(set(manager._cached_context_manager[name].cached_steps) for name in names)
        )
        return call.making(whole_s, steps - len(cached), len(cached))

    def _calibrator(self) -> cache_dit.TaylorSeerCalibratorConfig | None:
        if not self._cache.enable_taylorseer or self._tier is Tier.NONE:
            return None
        return cache_dit.TaylorSeerCalibratorConfig(
            enable_calibrator=True,
            enable_encoder_calibrator=False,
            taylorseer_order=self._cache.taylorseer_order,
        )


def enable_cache(transformer: Any, cache: CacheConfig) -> int:
    """Calls cache-dit on a transformer as its documents say; returns how many contexts it made."""
    cache_dit.enable_cache(
        transformer, cache_config=db_cache_config(cache, cache.enable_separate_cfg, None, None)
    )
    return len(transformer._context_names)


def db_cache_config(
    cache: CacheConfig, separate_cfg: bool | None, steps: int | None, mask: list[int] | None
) -> cache_dit.DBCacheConfig:
    """cache-dit's own settings object for a tier; a mask goes with the number of its steps."""
    return cache_dit.DBCacheConfig(
        Fn_compute_blocks=cache.Fn_compute_blocks,
        Bn_compute_blocks=cache.Bn_compute_blocks,
        residual_diff_threshold=cache.residual_diff_threshold,
        max_accumulated_residual_diff_threshold=cache.max_accumulated_residual_diff_threshold,
        max_warmup_steps=cache.max_warmup_steps,
        warmup_interval=cache.warmup_interval,
        max_cached_steps=cache.max_cached_steps,
        max_continuous_cached_steps=cache.max_continuous_cached_steps,
        enable_separate_cfg=separate_cfg,
        num_inference_steps=steps,
        steps_computation_mask=mask,
        steps_computation_policy=cache.steps_computation_policy,
    )


def count_blocks(transformer: torch.nn.Module) -> int:
    """How many transformer blocks a step runs: in FLUX, the double and the single ones.

    Raises:
        ConfigError: the transformer keeps its blocks under no name that is known here.
    """
    lists = (getattr(transformer, name, None) for name in _BLOCK_LISTS)
    count = sum(len(blocks) for blocks in lists if isinstance(blocks, torch.nn.ModuleList))
    if not count:
        raise ConfigError(
            f"{type(transformer).__name__} has none of {', '.join(_BLOCK_LISTS)}: "
            "its blocks cannot be counted, so there is no ideal to compare with"
        )
    return count


def now(device: str) -> float:
    """Seconds, with the device's work up to here done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def device_name(device: str) -> str:
    """The GPU's name, or cpu and how many threads torch uses there."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    return f"cpu, {torch.get_num_threads()} torch thread(s)"
