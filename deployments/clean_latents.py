"""Clean latents as a denoiser predicts them half-way, and as a VAE decodes them. Imports no Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch.nn import functional


def can_predict(pipeline: Any) -> bool:
    """Whether the latents of this pipeline are known here, and its scheduler goes straight."""
    scheduler = pipeline.scheduler
    return (
        type(pipeline).__name__ in _TO_VAE
        and isinstance(scheduler, FlowMatchEulerDiscreteScheduler)
        and not scheduler.config.stochastic_sampling
        and not scheduler.config.invert_sigmas
    )


def predicted_clean(scheduler: Any, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """The clean latents that the denoiser predicted in the step between two latents.

    Flow matching mixes clean latents c and noise n as x = (1 - s) c + s n (`scale_noise` of
    diffusers' FlowMatchEulerDiscreteScheduler), so dx/ds = n - c, which is what the denoiser
    predicts, and c = x - s dx/ds. Its `step` goes from x and s to x' and s' along that line:
    c = x' - s' (x' - x) / (s' - s). What inpainting keeps is mixed so too, and comes out as it is.
    """
    index = scheduler.step_index
    s_before, s_after = (float(scheduler.sigmas[at]) for at in (index - 1, index))
    slope = (after.float() - before.float()) / (s_after - s_before)
    return after.float() - s_after * slope


def for_vae(pipeline: Any, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Latents of one picture as its pipeline holds them, in the shape and scale that its VAE takes.

    Width and height are in pixels. The pipeline is as it was saved; `can_predict` is true of it.
    """
    return _TO_VAE[type(pipeline).__name__](pipeline, latents, width, height)


def averaged(latents: torch.Tensor, scale: int) -> torch.Tensor:
    """[1, channels, (frames,) height, width] with each square of latents as their mean."""
    if scale == 1:
        return latents
    if latents.ndim == 5:
        return functional.avg_pool3d(latents, (1, scale, scale))
    return functional.avg_pool2d(latents, scale)


def _unscaled(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    return latents / vae.config.scaling_factor + vae.config.shift_factor


def _flux(pipeline: Any, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    whole = pipeline._unpack_latents(latents, height, width, pipeline.vae_scale_factor)
    return _unscaled(pipeline.vae, whole)


def _z_image(pipeline: Any, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    return _unscaled(pipeline.vae, latents)


def _qwen(pipeline: Any, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """[1, channels, 1 frame, height, width], each channel with a mean and deviation of its own."""
    whole = pipeline._unpack_latents(latents, height, width, pipeline.vae_scale_factor)
    config = pipeline.vae.config
    mean, deviation = (
        torch.tensor(values, device=whole.device).view(1, -1, 1, 1, 1)
        for values in (config.latents_mean, config.latents_std)
    )
    return whole * deviation + mean


def _flux2(pipeline: Any, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Tokens are patches of 2 x 2 latents in the order of lines, normalised over all batches."""
    side = 2 * pipeline.vae_scale_factor
    patches = latents.transpose(1, 2).unflatten(2, (height // side, width // side))
    norm = pipeline.vae.bn
    deviation = torch.sqrt(norm.running_var + pipeline.vae.config.batch_norm_eps)
    patches = patches * deviation.view(1, -1, 1, 1) + norm.running_mean.view(1, -1, 1, 1)
    return pipeline._unpatchify_latents(patches)


_TO_VAE: Mapping[str, Callable[[Any, torch.Tensor, int, int], torch.Tensor]] = {
    "FluxPipeline": _flux,
    "FluxKontextPipeline": _flux,
    "Flux2KleinPipeline": _flux2,
    "QwenImagePipeline": _qwen,
    "QwenImageEditPipeline": _qwen,
    "QwenImageEditPlusPipeline": _qwen,
    "ZImagePipeline": _z_image,
}
"""By the class that a pipeline is saved as, what the end of its `__call__` does in diffusers 0.42.

The siblings of `cluster.tasks.PIPELINES` hold their latents alike."""
