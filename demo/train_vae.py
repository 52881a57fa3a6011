"""Trains the autoencoder of the embedded model on pictures that `demo.draw` makes."""

from __future__ import annotations

import random
import time

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn

from demo.draw import PICTURE_SIZE, draw
from demo.world import Scene, training_scene

LATENT_CHANNELS = 16


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


def train_vae(vae: AutoencoderKL, steps: int, seed: int, device: torch.device, *, decoder_only: bool = False) -> float:
    """Trains in place; returns the mean squared error (pixels in [-1, 1]) over the last hundred steps.

    With `decoder_only` the latents stay as they are and only their rendering gets sharper, so that a
    transformer that was trained on them stays right.
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
        x = pixels([training_scene(rng) for _ in range(8)], rng).to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            with torch.set_grad_enabled(not decoder_only):
                latents = vae.encode(x).latent_dist
            y = vae.decode(latents.mode() if decoder_only else latents.sample()).sample
        error = (y.float() - x).square().mean()
        loss = (y.float() - x).abs().mean() + error
        if not decoder_only:
            loss = loss + 1e-3 * latents.kl().mean() / latents.mean[0].numel()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        errors.append(error.item())
        if step % 100 == 99:
            rate = (time.monotonic() - started) / (step + 1)
            print(f"vae: step {step + 1}/{steps} mse {np.mean(errors[-100:]):.5f} {rate:.2f} s/step", flush=True)
    vae.eval()
    return float(np.mean(errors[-100:]))


@torch.no_grad()
def encode_pictures(vae: AutoencoderKL, scenes: list[Scene], seed: int, device: torch.device) -> torch.Tensor:
    """The latents (N, C, h, w), half precision, of one drawn picture per scene, not yet normalised."""
    rng = random.Random(seed)
    batches = []
    for start in range(0, len(scenes), 100):
        x = pixels(scenes[start : start + 100], rng).to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            batches.append(vae.encode(x).latent_dist.mode().half().cpu())
        if start % 2000 == 0:
            print(f"latents: {start}/{len(scenes)}", flush=True)
    return torch.cat(batches)
