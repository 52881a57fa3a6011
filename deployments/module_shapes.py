"""Shapes of models on torch's meta device. Imports no Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from placement.shapes import BlockLinear, ComponentShape, DenoiserShape, Kind, VaeShape

_SHARDED_ENCODERS = ("T5Encoder", "UMT5Encoder", "Qwen2_5_VL", "Qwen3", "Llama", "Mistral", "Gemma")
"""Beginnings of the text encoder classes that cache-dit 1.5 has a tensor-parallel plan for."""
_ENCODER_STATES = 16
"""Hidden states that a token holds in a text encoder's layer, its feed-forward layer included."""


def kind_of(name: str) -> Kind:
    """The kind of a component by its name in `model_index.json`."""
    if name.startswith("transformer"):
        return "transformer"
    if name.startswith("text_encoder"):
        return "text_encoder"
    return "vae" if name.startswith("vae") else "other"


def component_shape(name: str, module: torch.nn.Module) -> ComponentShape:
    """What memory depends on in one component."""
    kind = kind_of(name)
    blocks = list(_blocks(module))
    return ComponentShape(
        name=name,
        kind=kind,
        parameters=_parameters(module),
        float32_parameters=_kept_in_float32(module),
        largest_layer=_largest_layer(module, blocks),
        linears=_linears(blocks) if kind in ("transformer", "text_encoder") else (),
        token_elements=_token_elements(module) if kind == "text_encoder" else 0,
        shards=type(module).__name__.startswith(_SHARDED_ENCODERS),
    )


def denoiser_shape(
    transformer: Any, vae: Any, linears: Sequence[BlockLinear], copies: int
) -> DenoiserShape:
    """How a transformer sees a picture, by the names that diffusers' configs have for it."""
    config = transformer.config
    heads = _first(config, "num_attention_heads", "n_heads") or 1
    hidden = config.get("dim") or heads * config.get("attention_head_dim", 1)
    return DenoiserShape(
        heads=heads,
        head_dim=hidden // heads,
        hidden_size=hidden,
        layers=len(list(_blocks(transformer))),
        widest=max((line.rows for line in linears if not line.modulates), default=hidden),
        patch=_patch(config, vae.config),
        patch_frames=_patch_frames(config),
        copies=copies,
    )


def vae_shape(vae: Any) -> VaeShape:
    """How an autoencoder decodes; the causal ones go a few frames at a time."""
    config = vae.config
    channels = list(config.get("block_out_channels") or ())
    if not channels:
        channels = [config["base_dim"] * factor for factor in config["dim_mult"]]
    causal = hasattr(vae, "clear_cache") or "temporal_compression_ratio" in config
    temporal = 1
    frames: int | None = 1
    if causal:
        temporal = _first(config, "scale_factor_temporal", "temporal_compression_ratio") or (
            2 ** sum(map(bool, config.get("temperal_downsample", ())))
        )
        frames = temporal if hasattr(vae, "clear_cache") else _tile_frames(vae)
    side: Any = getattr(vae, "tile_sample_min_size", None)
    side = side or getattr(vae, "tile_sample_min_height", 512)
    return VaeShape(
        latent_channels=_first(config, "latent_channels", "z_dim") or 0,
        spatial_scale=config.get("scale_factor_spatial")
        or config.get("spatial_compression_ratio")
        or 2 ** (len(channels) - 1),
        temporal_scale=temporal,
        widest_channels=channels[min(1, len(channels) - 1)],
        frames_at_once=frames,
        padding_frames=2 if causal else 0,
        tile_side=int(side),
    )


def _tile_frames(vae: Any) -> int | None:
    if not getattr(vae, "use_framewise_decoding", False):
        return None
    return int(vae.tile_sample_min_num_frames) + 1


def _first(config: Any, *names: str) -> int | None:
    return next((int(config[name]) for name in names if config.get(name) is not None), None)


def _patch(config: Any, vae_config: Any) -> int:
    """Latents a side of a token; a pipeline that packs 2 x 2 of them says so by its channels."""
    patch = config.get("all_patch_size") or config.get("patch_size") or 1
    side = patch[-1] if isinstance(patch, list | tuple) else patch
    latents = _first(vae_config, "latent_channels", "z_dim") or 1
    return max(side, 2) if config.get("in_channels") == 4 * latents else side


def _patch_frames(config: Any) -> int:
    patch = config.get("patch_size")
    if isinstance(patch, list | tuple):
        return int(patch[0])
    return int(config.get("patch_size_t") or 1)


def _blocks(module: Any) -> Iterator[torch.nn.Module]:
    """The repeated blocks: those that diffusers names, else the largest list of modules."""
    names = set(getattr(module, "_repeated_blocks", None) or ())
    if names:
        yield from (part for part in module.modules() if type(part).__name__ in names)
        return
    lists = [part for part in module.modules() if isinstance(part, torch.nn.ModuleList)]
    yield from max(lists, key=_parameters, default=())


def _linears(blocks: Sequence[torch.nn.Module]) -> tuple[BlockLinear, ...]:
    found: Counter[tuple[str, int, int]] = Counter()
    seen: set[int] = set()
    for block in blocks:
        for name, part in block.named_modules():
            if isinstance(part, torch.nn.Linear) and id(part) not in seen:
                seen.add(id(part))
                found[name, part.out_features, part.in_features] += 1
    return tuple(BlockLinear(*key, count=count) for key, count in found.items())


def _largest_layer(module: torch.nn.Module, blocks: Sequence[torch.nn.Module]) -> int:
    inside = {id(part) for block in blocks for part in block.modules()}
    alone = (
        sum(each.numel() for each in part.parameters(recurse=False))
        for part in module.modules()
        if id(part) not in inside
    )
    return max((*map(_parameters, blocks), *alone), default=0)


def _parameters(module: torch.nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def _kept_in_float32(module: Any) -> int:
    """Parameters that diffusers keeps in float32; a name counts as a whole part of a path."""
    if not type(module).__module__.startswith("diffusers"):
        return 0
    names = set(getattr(module, "_keep_in_fp32_modules", None) or ())
    return sum(
        each.numel()
        for path, each in module.named_parameters()
        if not names.isdisjoint(path.split("."))
    )


def _token_elements(module: Any) -> int:
    config = module.config.get_text_config()
    logits = config.vocab_size if getattr(module, "lm_head", None) is not None else 0
    return int(_ENCODER_STATES * config.hidden_size + logits)
