"""FLUX.1 with its kinds for editing, and FLUX.2 [klein], tiny."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxFillPipeline,
    FluxKontextPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
)
from transformers import Qwen3ForCausalLM, T5Config, T5EncoderModel

from tests.families.parts import (
    CHAT,
    autoencoder_kl,
    clip_text_model,
    qwen3_config,
    word_tokenizer,
)
from tests.families.weights import draw_weights

PACKED = 16
"""Channels of a token: two by two latents of four channels."""

FILL_MASK = 256
"""FLUX.1 Fill [dev] sees the mask in full: 8 by 8 pixels of each of the four latents of a token."""


def flux() -> FluxPipeline:
    """Guidance-distilled, like FLUX.1 [dev]: `guidance_scale` is an input of the transformer."""
    return FluxPipeline(**_parts(seed=1))


def flux_kontext() -> FluxKontextPipeline:
    """The picture to edit follows the noisy latents in one sequence."""
    return FluxKontextPipeline(**_parts(seed=9))


def flux_fill() -> FluxFillPipeline:
    """Picture and mask are further channels of each token."""
    return FluxFillPipeline(**_parts(seed=10, in_channels=2 * PACKED + FILL_MASK))


def _parts(seed: int, in_channels: int = PACKED) -> dict[str, Any]:
    clip_tokenizer = word_tokenizer(end=True, max_length=77)
    t5_tokenizer = word_tokenizer(end=True, max_length=512)
    transformer = FluxTransformer2DModel(
        in_channels=in_channels,
        out_channels=PACKED,
        num_layers=2,
        num_single_layers=4,
        attention_head_dim=12,
        num_attention_heads=4,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        guidance_embeds=True,
        axes_dims_rope=(4, 4, 4),
    )
    clip = clip_text_model(clip_tokenizer)
    t5 = T5EncoderModel(
        T5Config(
            vocab_size=len(t5_tokenizer),
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            pad_token_id=0,
            eos_token_id=1,
        )
    )
    vae = autoencoder_kl()
    draw_weights(transformer, clip, t5, vae, seed=seed)
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        "vae": vae,
        "text_encoder": clip,
        "tokenizer": clip_tokenizer,
        "text_encoder_2": t5,
        "tokenizer_2": t5_tokenizer,
        "transformer": transformer,
    }


def flux2_klein() -> Flux2KleinPipeline:
    """The undistilled one: guidance calls the transformer twice.

    Its text encoder has 27 layers because the pipeline reads the 9th, the 18th and the 27th.
    """
    tokenizer = word_tokenizer(*CHAT, chat=True)
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=2,
        num_single_layers=4,
        attention_head_dim=16,
        num_attention_heads=4,
        joint_attention_dim=48,
        timestep_guidance_channels=32,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    text_encoder = Qwen3ForCausalLM(qwen3_config(tokenizer, layers=27))
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
    )
    draw_weights(transformer, text_encoder, vae, seed=2)
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=transformer,
        is_distilled=False,
    )
