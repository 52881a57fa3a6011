"""The arms of `benchmarks.gpu_tiers`: one set of weights, and the ways in which it is run.

A build is a transformer with its compilation and quantization; an arm is a build in a tier. The
builds of one model share their weights in bfloat16, and those in float8 share theirs, so that all
fit on the card together and can be run in turn. What is dit-serve's goes through
`deployments.acceleration`, as in a server.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.gpu_architectures import embeddings, pipeline_around, random_transformer, twin
from benchmarks.gpu_meters import clock
from benchmarks.gpu_names import Build, Denoised
from benchmarks.gpu_workloads import Workload
from cluster.acceleration import CacheConfig
from cluster.config import ClusterConfig
from cluster.errors import ConfigError
from cluster.tiers import Tier
from deployments.acceleration import accelerate
from deployments.cached_transformer import CachedTransformer, step_mask
from deployments.engine import EngineSpec, engine_spec

CACHE = CacheConfig(Fn_compute_blocks=1, Bn_compute_blocks=0, steps_computation_policy="static")
"""Of every tier: a cached step runs one block, and the mask alone says which steps are cached."""

_NOISE_SEED = 2


class MaskNotKept(Exception):
    """The cache computed other steps than its static mask says."""


@dataclass(frozen=True)
class Builds:
    """Everything of one model on the device; `left_out` says which builds could not be made."""

    denoisers: Mapping[Build, Denoiser]
    left_out: Mapping[Build, str]


class Denoiser:
    """The denoise stage of a pipeline around one build."""

    def __init__(
        self,
        workload: Workload,
        transformer: Any,
        device: str,
        tiers: Mapping[Tier, CacheConfig] | None = None,
    ) -> None:
        """With `tiers`, cache-dit is on the transformer as `accelerate` put it there."""
        self.transformer = transformer
        self._workload, self._device = workload, device
        self._pipeline = pipeline_around(workload, transformer)
        self._arguments = embeddings(workload, device) | dict(workload.arguments)
        self._arguments |= {"width": workload.width, "height": workload.height}
        if workload.frames is not None:
            self._arguments["num_frames"] = workload.frames
        self._tiers = tiers
        self._cached = None if tiers is None else CachedTransformer(transformer)

    def denoise(self, steps: int, tier: Tier | None) -> Denoised:
        """Does all steps, in a tier where the build has a cache; always from the same noise.

        Raises:
            MaskNotKept: other steps were cached than the mask says.
            ArithmeticError: the latents are not finite.
        """
        if self._cached is None or self._tiers is None or tier is None:
            return Denoised(self._timed(steps), (1,) * steps)
        mask, note = step_mask(self._tiers[tier], tier, steps)
        if mask is None:
            raise MaskNotKept(note)
        guided = self._workload.calls == 2
        self._cached.reset(self._tiers[tier], tier, mask, steps, separate_cfg=guided)
        # The engine's own mode, which is part of what it gains over the pipeline's no_grad.
        with torch.inference_mode():
            step_s = self._timed(steps)
        computed = self._cached.statistics(steps).steps_computed
        if computed != sum(mask):
            raise MaskNotKept(f"{tier}: {computed} of {steps} steps computed, not {sum(mask)}")
        return Denoised(step_s, tuple(mask))

    def _timed(self, steps: int) -> tuple[float, ...]:
        """Seconds of each step; the first from the transformer's first call on."""
        timed = clock(self._device)

        def before_first_call(module: Any, arguments: Any) -> None:
            hook.remove()
            timed.mark()

        def after_step(pipeline: Any, step: int, timestep: Any, tensors: Any) -> dict[str, Any]:
            timed.mark()
            return {}

        hook = self.transformer.register_forward_pre_hook(before_first_call)
        output = self._pipeline(
            **self._arguments,
            num_inference_steps=steps,
            generator=torch.Generator().manual_seed(_NOISE_SEED),
            callback_on_step_end=after_step,
            output_type="latent",
        )
        latents = output.frames if hasattr(output, "frames") else output.images
        if not bool(latents.isfinite().all()):
            raise ArithmeticError(f"{self._workload.name}: the latents are not finite")
        return timed.seconds()


def build_all(
    workload: Workload, builds: Collection[Build], device: str, attention_backend: str | None
) -> Builds:
    """Puts every build on the device. A card or a class that float8 is not for leaves it out.

    Raises:
        ConfigError: cache-dit or the attention backend cannot do with the class what is asked.
    """
    base = random_transformer(workload, device)
    denoisers: dict[Build, Denoiser] = {}
    left_out: dict[Build, str] = {}
    for build in (build for build in builds if not build.float8):
        transformer = twin(workload, base, device)
        denoisers[build] = _denoiser(workload, build, transformer, device, attention_backend)
    quantized = None
    for build in sorted((build for build in builds if build.float8), key=_served_first):
        transformer = twin(workload, base, device)
        try:
            if not build.served:
                quantized = quantized or _quantized(workload, base, device)
                _take_quantized(transformer, quantized)
            denoisers[build] = _denoiser(workload, build, transformer, device, attention_backend)
        except ConfigError as error:
            left_out[build] = str(error)
            continue
        if build.served:
            quantized = transformer
    return Builds({build: denoisers[build] for build in builds if build in denoisers}, left_out)


def _served_first(build: Build) -> bool:
    return not build.served


def _denoiser(
    workload: Workload, build: Build, transformer: Any, device: str, attention_backend: str | None
) -> Denoiser:
    if build.served:
        spec = _spec(workload, build, device, attention_backend)
        accelerate(None, [transformer], spec)
        return Denoiser(workload, transformer, device, spec.tiers)
    if build.compiled:
        transformer.compile_repeated_blocks()
    return Denoiser(workload, transformer, device)


def _quantized(workload: Workload, base: Any, device: str) -> Any:
    """A transformer in float8, where no served build has made one yet."""
    transformer = twin(workload, base, device)
    accelerate(None, [transformer], _spec(workload, Build(served=True, float8=True), device, None))
    return transformer


def _take_quantized(transformer: Any, quantized: Any) -> None:
    """Lets one transformer have the quantized weights of another, not a copy of them."""
    for path, layer in quantized.named_modules():
        if isinstance(layer, torch.nn.Linear):
            transformer.get_submodule(path).weight = layer.weight


def _spec(
    workload: Workload, build: Build, device: str, attention_backend: str | None
) -> EngineSpec:
    """The recipe of the pool that a config file would name for this build."""
    pool: dict[str, Any] = {
        "name": "measured",
        "device": device,
        "dtype": "bfloat16",
        "cache_config": CACHE.model_dump(exclude_unset=True),
        "compile": build.compiled,
        "attention_backend": attention_backend,
    }
    if build.float8:
        pool["quantize_config"] = {"quant_type": "float8_per_row"}
    model = {"name": workload.name, "source": workload.source, "pools": [pool]}
    model |= {"default_size": f"{workload.width}x{workload.height}"}
    settled = ClusterConfig.model_validate({"models": [model]}).models[0]
    return engine_spec(settled, settled.pools[0])
