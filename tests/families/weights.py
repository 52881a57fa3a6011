"""Random weights that make a tiny model worth running."""

from __future__ import annotations

import itertools

import torch
from torch import nn

LOOKED_UP = tuple(
    f"{name}.weight" for name in ("embed_tokens", "shared", "token_embedding", "position_embedding")
)
TIME = tuple(
    f"{name}.weight"
    for name in ("timestep_embedder.linear_1", "time_embedder.linear_1", "t_embedder.mlp.0")
)


def draw_weights(*modules: nn.Module, seed: int) -> None:
    """Fills every parameter anew: matrices that keep a unit variance, gains near one, small biases.

    A library's own initialisation has zeros (gates, last layers) and memory never written to,
    which make a random model dull or different each time. Of time only the slow waves are read, so
    that neighbouring steps are alike, as in a trained model, and a dynamic cache can skip some.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in itertools.chain.from_iterable(m.named_parameters() for m in modules):
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim < 2:
            noise = 0.1 * noise + (1 if name.endswith("weight") else 0)
        elif name.endswith(TIME):
            waves = parameter.shape[1] // 2
            slow = torch.arange(2 * waves) % waves >= 0.7 * waves
            noise *= slow / slow.sum() ** 0.5
        elif not name.endswith(LOOKED_UP):
            noise *= parameter[0].numel() ** -0.5
        with torch.no_grad():
            parameter.copy_(noise)
    for module in modules:
        module.eval()
