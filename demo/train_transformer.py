"""Trains the transformer of the embedded model.

Rectified flow on cached latents, frozen text encoders.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from torch import nn

from demo.text_encoders import WIDTH
from demo.train_vae import LATENT_CHANNELS

SIGMA_SHIFT = 2.0
"""More of the training is spent at much noise: there, colours and places are decided."""


@dataclass(frozen=True)
class TrainingSet:
    """Normalised latents and texts, all half precision.

    Latents are (N, C, h, w), text tokens (N, T, D) and pooled texts (N, D).
    Row `blank` of the texts is the empty caption, for classifier-free guidance.
    """

    latents: torch.Tensor
    tokens: torch.Tensor
    pooled: torch.Tensor
    blank_tokens: torch.Tensor
    blank_pooled: torch.Tensor


def build_transformer() -> FluxTransformer2DModel:
    """A fresh transformer: 4 double and 8 single blocks, 4 heads of 32, 4.5 M parameters."""
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * LATENT_CHANNELS,
        num_layers=4,
        num_single_layers=8,
        attention_head_dim=32,
        num_attention_heads=4,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=False,
        axes_dims_rope=(8, 12, 12),
    )


def train_transformer(
    transformer: FluxTransformer2DModel,
    data: TrainingSet,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    every: int,
    report: Callable[[FluxTransformer2DModel, int], None],
) -> FluxTransformer2DModel:
    """Trains and returns the averaged (EMA) weights.

    The rate warms up, stays, and falls to zero over the last quarter. Every `every` steps the state
    is written to `checkpoint`, from which a later call goes on (with another `steps`, if wished),
    and `report(ema, step)` is called.
    """
    transformer.to(device).train()
    ema = copy.deepcopy(transformer).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        transformer.parameters(), learning_rate, betas=(0.9, 0.99), weight_decay=0.01
    )
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        transformer.load_state_dict(state["transformer"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    generator = torch.Generator().manual_seed(seed + first)
    side = data.latents.shape[-1] // 2
    image_ids = FluxPipeline._prepare_latent_image_ids(1, side, side, device, torch.float32)
    text_ids = torch.zeros(data.tokens.shape[1], 3, device=device)
    losses: list[float] = []
    started = time.monotonic()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(
                (step + 1) / 300, 1.0, (steps - step) / (0.25 * steps)
            )
        rows = torch.randint(len(data.latents), (batch,), generator=generator)
        tokens, pooled = data.tokens[rows].float(), data.pooled[rows].float()
        dropped = torch.rand(batch, generator=generator) < 0.05
        tokens[dropped], pooled[dropped] = data.blank_tokens.float(), data.blank_pooled.float()
        clean = pack(data.latents[rows].float())
        noise = torch.randn(clean.shape, generator=generator)
        uniform = torch.rand(batch, generator=generator)
        sigma = SIGMA_SHIFT * uniform / (1 + (SIGMA_SHIFT - 1) * uniform)
        noisy = torch.lerp(clean, noise, sigma[:, None, None])
        velocity = transformer(
            hidden_states=noisy.to(device),
            encoder_hidden_states=tokens.to(device),
            pooled_projections=pooled.to(device),
            timestep=sigma.to(device),
            img_ids=image_ids,
            txt_ids=text_ids,
            return_dict=False,
        )[0]
        loss = (velocity - (noise - clean).to(device)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(transformer.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            keep = min(0.998, (step + 1) / (step + 10))
            torch._foreach_lerp_(list(ema.parameters()), list(transformer.parameters()), 1 - keep)
        losses.append(loss.item())
        if step % 100 == 99:
            rate = (time.monotonic() - started) / (step + 1 - first)
            print(
                f"transformer: step {step + 1}/{steps} "
                f"loss {sum(losses[-100:]) / 100:.4f} {rate:.3f} s/step",
                flush=True,
            )
        if (step + 1) % every == 0 or step + 1 == steps:
            state = {
                "step": step + 1,
                "transformer": transformer.state_dict(),
                "ema": ema.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            torch.save(state, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").replace(checkpoint)
            report(ema, step + 1)
    return ema


def pack(latents: torch.Tensor) -> torch.Tensor:
    """Latents (B, C, h, w) as FLUX tokens (B, h/2 * w/2, 4C)."""
    b, c, h, w = latents.shape
    packed: torch.Tensor = FluxPipeline._pack_latents(latents, b, c, h, w)
    return packed
