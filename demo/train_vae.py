"""Trains the autoencoder of the embedded model on pictures that `demo.draw` makes.

Left to itself so small an autoencoder keeps brightness in a few strong channels and hue in weak
ones, which a diffusion model then learns last. So its first three channels are anchored to the
picture itself, eight times smaller; the others are free to hold edges.
"""

from __future__ import annotations

import random
import time

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import nn

from demo.draw import PICTURE_SIZE, draw
from demo.world import Scene, training_scene

LATENT_CHANNELS = 16
ANCHORED_CHANNELS = 3
ANCHOR_SCALE = 1.5
KL_WEIGHT = 2e-3


def build_vae() -> AutoencoderKL:
    """A fresh autoencoder: 8x smaller latents of 16 channels, 0.85 M parameters."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 48, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=PICTURE_SIZE,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=1.0,
        shift_factor=0.0,
    )


def pixels(scenes: list[Scene], rng: random.Random) -> torch.Tensor:
    """Drawn pictures as (B, 3, H, W) in [-1, 1]."""
    pictures = np.stack([np.asarray(draw(scene, rng)) for scene in scenes])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def train_vae(
    vae: AutoencoderKL, steps: int, seed: int, device: torch.device, *, decoder_only: bool = False
) -> float:
    """Trains in place; returns the mean squared error over the last hundred steps.

    The error is of pixels in [-1, 1]. With `decoder_only` the latents stay as they are and only
    their rendering gets sharper, so that a transformer that was trained on them stays right.
    """
    rng = random.Random(seed)
    vae.to(device, memory_format=torch.channels_last).train()
    trained = vae.decoder if decoder_only else vae
    peak = 1e-3 if decoder_only else 2e-3
    optimizer = torch.optim.AdamW(trained.parameters(), peak, betas=(0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps)
    errors: list[float] = []
    started = time.monotonic()
    for step in range(steps):
        x = pixels([training_scene(rng) for _ in range(8)], rng).to(
            device, memory_format=torch.channels_last
        )
        with torch.autocast(device.type, torch.bfloat16):
            with torch.set_grad_enabled(not decoder_only):
                latents = vae.encode(x).latent_dist
            y = vae.decode(latents.mode() if decoder_only else latents.sample()).sample
        error = (y.float() - x).square().mean()
        loss = (y.float() - x).abs().mean() + error
        if not decoder_only:
            loss = loss + KL_WEIGHT * _kl(latents) + _anchor_error(latents, x)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        errors.append(error.item())
        if step % 100 == 99:
            rate = (time.monotonic() - started) / (step + 1)
            print(
                f"vae: step {step + 1}/{steps} mse {np.mean(errors[-100:]):.5f} {rate:.2f} s/step",
                flush=True,
            )
    vae.eval()
    return float(np.mean(errors[-100:]))


def _kl(latents: DiagonalGaussianDistribution) -> torch.Tensor:
    """KL divergence from a unit normal, in nats per element, of the channels that are free."""
    mean = latents.mean[:, ANCHORED_CHANNELS:].float()
    log_variance = latents.logvar[:, ANCHORED_CHANNELS:].float()
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def _anchor_error(latents: DiagonalGaussianDistribution, x: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of the anchored channels from the picture, made as small."""
    small = nn.functional.avg_pool2d(x, x.shape[-1] // latents.mean.shape[-1])
    anchored = latents.mean[:, :ANCHORED_CHANNELS].float()
    return (anchored - ANCHOR_SCALE * small).square().mean()


@torch.no_grad()
def encode_pictures(
    vae: AutoencoderKL, scenes: list[Scene], seed: int, device: torch.device
) -> torch.Tensor:
    """The latents of one drawn picture per scene.

    They are (N, C, h, w), half precision, not yet normalised.
    """
    rng = random.Random(seed)
    batches = []
    for start in range(0, len(scenes), 100):
        x = pixels(scenes[start : start + 100], rng).to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            batches.append(vae.encode(x).latent_dist.mode().half().cpu())
        if start % 2000 == 0:
            print(f"latents: {start}/{len(scenes)}", flush=True)
    return torch.cat(batches)
