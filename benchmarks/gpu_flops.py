"""Floating-point operations of one call of a transformer, counted from its config. Pure.

A matrix product of m x k by k x n is 2mkn operations. Counted are the linear layers, the
convolution of Wan's patches, and the two products of an attention, 2 x 2 x queries x keys x width.
Norms, activations and rotations are not: they are no matrix products, and so no part of the rate
that a card reaches in one. `torch.utils.flop_counter` counts the same, and `tests/unit/benchmarks`
holds each formula against it at full size.

In the formulas d is the width (heads x head size), n the picture's tokens, t the text's, s = n + t.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

Config = Mapping[str, Any]

_TIME_WAVES = 256
"""Sines and cosines of the time, where the config does not say."""
_Z_IMAGE_TIME = 1024
"""Hidden width of Z-Image's embedding of the time, and 256 the width of its result."""
_Z_IMAGE_MULTIPLE = 32
"""Z-Image pads picture and text to multiples of as many tokens, each."""


@dataclass(frozen=True)
class CallFlops:
    """Operations of one call: of each block that cache-dit caches, in order, and of all else."""

    outside: int
    blocks: tuple[int, ...]

    @property
    def computed(self) -> int:
        """A call that runs every block."""
        return self.outside + sum(self.blocks)

    def cached(self, front: int, back: int) -> int:
        """A call that runs only the first `front` and the last `back` blocks (Fn and Bn)."""
        skipped = self.blocks[front : len(self.blocks) - back]
        return self.computed - sum(skipped)


def call_flops(config: Config, image_tokens: int, text_tokens: int) -> CallFlops:
    """The operations of one call with a batch of one.

    `config` is that of the transformer, as in its `config.json`; tokens are counted after patching.

    Raises:
        ValueError: no formula for the class.
    """
    name = config["_class_name"]
    if name not in _FORMULAS:
        raise ValueError(f"no count of operations for {name}; there is one for {list(_FORMULAS)}")
    return _FORMULAS[name](config, image_tokens, text_tokens)


def _flux(config: Config, n: int, t: int) -> CallFlops:
    """19 blocks of two streams and 38 of one, all of 12 d^2 weights a token.

    Two streams: q, k, v, out (4 d^2) and a feed-forward layer (8 d^2) for each token of its stream,
    and a modulation of 6 d for each stream. One stream: q, k, v (3 d^2), in of the feed-forward
    layer (4 d^2), out of both (5 d^2), and a modulation of 3 d.
    """
    d, s = _width(config), n + t
    single = _linear(s, d, 12 * d) + _attention(s, s, d) + _linear(1, d, 3 * d)
    embedded = 1 + int(config["guidance_embeds"])
    outside = (
        _linear(n, config["in_channels"], d)
        + _linear(t, config["joint_attention_dim"], d)
        + embedded * (_linear(1, _TIME_WAVES, d) + _linear(1, d, d))
        + _linear(1, config["pooled_projection_dim"], d)
        + _linear(1, d, d)
        + _head(n, d, config["in_channels"])
    )
    blocks = (_two_streams(d, s),) * config["num_layers"] + (single,) * config["num_single_layers"]
    return CallFlops(outside, blocks)


def _qwen_image(config: Config, n: int, t: int) -> CallFlops:
    """60 blocks of two streams, as FLUX has them."""
    d = _width(config)
    outside = (
        _linear(n, config["in_channels"], d)
        + _linear(t, config["joint_attention_dim"], d)
        + _linear(1, _TIME_WAVES, d)
        + _linear(1, d, d)
        + _head(n, d, config["patch_size"] ** 2 * config["out_channels"])
    )
    return CallFlops(outside, (_two_streams(d, n + t),) * config["num_layers"])


def _z_image(config: Config, n: int, t: int) -> CallFlops:
    """30 blocks of one stream: q, k, v, out (4 d^2), and a gated feed-forward layer of 3 x 8/3 d^2.

    Two refiners for the picture and two, without modulation, for the text come before them. They
    are no blocks to cache-dit: a cached step runs them too.
    """
    d = config["dim"]
    n, t = (-(-tokens // _Z_IMAGE_MULTIPLE) * _Z_IMAGE_MULTIPLE for tokens in (n, t))
    time = min(d, _TIME_WAVES)
    modulation = _linear(1, time, 4 * d)
    patch = config["all_patch_size"][0] ** 2 * config["all_f_patch_size"][0] * config["in_channels"]

    def block(tokens: int) -> int:
        return (
            _linear(tokens, d, 4 * d)
            + 3 * _linear(tokens, d, int(d / 3 * 8))
            + _attention(tokens, tokens, d)
        )

    outside = (
        _linear(n, patch, d)
        + _linear(t, config["cap_feat_dim"], d)
        + _linear(1, _TIME_WAVES, _Z_IMAGE_TIME)
        + _linear(1, _Z_IMAGE_TIME, time)
        + config["n_refiner_layers"] * (block(n) + modulation + block(t))
        + _linear(1, time, d)
        + _linear(n + t, d, patch)
    )
    return CallFlops(outside, (block(n + t) + modulation,) * config["n_layers"])


def _wan(config: Config, n: int, t: int) -> CallFlops:
    """30 blocks: attention to itself (4 d^2), and to the text (2 d^2 for each token of both).

    The feed-forward layer has 2 d h weights, with h = `ffn_dim`. Modulation is a table, no product.
    """
    d, hidden, patch = _width(config), config["ffn_dim"], prod(config["patch_size"])
    block = (
        _linear(n, d, 4 * d)
        + _attention(n, n, d)
        + _linear(n, d, 2 * d)
        + _linear(t, d, 2 * d)
        + _attention(n, t, d)
        + 2 * _linear(n, d, hidden)
    )
    outside = (
        _linear(n, config["in_channels"] * patch, d)
        + _linear(1, config["freq_dim"], d)
        + _linear(1, d, d)
        + _linear(1, d, 6 * d)
        + _linear(t, config["text_dim"], d)
        + _linear(t, d, d)
        + _linear(n, d, config["out_channels"] * patch)
    )
    return CallFlops(outside, (block,) * config["num_layers"])


_FORMULAS: dict[str, Callable[[Config, int, int], CallFlops]] = {
    "FluxTransformer2DModel": _flux,
    "QwenImageTransformer2DModel": _qwen_image,
    "ZImageTransformer2DModel": _z_image,
    "WanTransformer3DModel": _wan,
}


def _width(config: Config) -> int:
    return int(config["num_attention_heads"] * config["attention_head_dim"])


def _two_streams(d: int, s: int) -> int:
    return _linear(s, d, 12 * d) + _attention(s, s, d) + 2 * _linear(1, d, 6 * d)


def _head(n: int, d: int, channels: int) -> int:
    """A norm with scale and shift from the time, and the last layer."""
    return _linear(1, d, 2 * d) + _linear(n, d, channels)


def _linear(tokens: int, inputs: int, outputs: int) -> int:
    return 2 * tokens * inputs * outputs


def _attention(queries: int, keys: int, d: int) -> int:
    return 4 * queries * keys * d
