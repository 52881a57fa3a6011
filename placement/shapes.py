"""What memory depends on in a pipeline: numbers of its architecture, and no weights.

`deployments.architecture` reads them from config files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["transformer", "text_encoder", "vae", "other"]


@dataclass(frozen=True)
class BlockLinear:
    """A Linear layer of a repeated block, and how often the block stands in its component.

    `name` is the layer's within the block ("attn.to_q"); `rows` are its output features.
    """

    name: str
    rows: int
    columns: int
    count: int

    @property
    def weights(self) -> int:
        """Elements of all its weight matrices together; biases are not among them."""
        return self.rows * self.columns * self.count

    @property
    def modulates(self) -> bool:
        """Whether it makes scales and shifts from the timestep rather than working on tokens."""
        return "norm" in self.name or "mod" in self.name


@dataclass(frozen=True)
class ComponentShape:
    """One model of a pipeline.

    `parameters` counts tied ones once. `float32_parameters` are those that diffusers keeps in
    float32 whatever the dtype. `largest_layer` is the most parameters that one layer holds: a
    repeated block, or a module outside of the blocks. `token_elements` are the elements that a
    token of the prompt holds at most (text encoders). `shards` says whether cache-dit can deal the
    block's Linear layers out over ranks.
    """

    name: str
    kind: Kind
    parameters: int
    float32_parameters: int = 0
    largest_layer: int = 0
    linears: tuple[BlockLinear, ...] = ()
    token_elements: int = 0
    shards: bool = False


@dataclass(frozen=True)
class DenoiserShape:
    """How the transformer sees a picture.

    A token is `patch` x `patch` latents of `patch_frames` latent frames. `widest` are the most
    output features of a Linear layer that works on tokens. `copies` is 2 where the tokens of a
    picture to edit stand beside those of the one that is made.
    """

    heads: int
    head_dim: int
    hidden_size: int
    layers: int
    widest: int
    patch: int = 2
    patch_frames: int = 1
    copies: int = 1


@dataclass(frozen=True)
class VaeShape:
    """How the autoencoder decodes.

    `widest_channels` are the most channels at full resolution. `frames_at_once` are the pictures
    that are decoded together, None for all; `padding_frames` are those that a causal convolution
    adds. A tile is `tile_side` pixels a side where tiling is on.
    """

    latent_channels: int
    spatial_scale: int
    temporal_scale: int
    widest_channels: int
    frames_at_once: int | None = 1
    padding_frames: int = 0
    tile_side: int = 512


@dataclass(frozen=True)
class PipelineShape:
    """A whole pipeline."""

    name: str
    components: tuple[ComponentShape, ...]
    denoiser: DenoiserShape
    vae: VaeShape

    def of_kind(self, kind: Kind) -> tuple[ComponentShape, ...]:
        return tuple(component for component in self.components if component.kind == kind)

    def tokens(self, width: int, height: int, frames: int) -> int:
        """Tokens of a picture or a clip of that size in pixels, without those of the prompt."""
        denoiser, vae = self.denoiser, self.vae
        side = vae.spatial_scale * denoiser.patch
        latent_frames = -(-frames // vae.temporal_scale) if frames > 1 else 1
        across = -(-width // side) * -(-height // side)
        return across * -(-latent_frames // denoiser.patch_frames) * denoiser.copies
