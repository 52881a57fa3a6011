"""HunyuanVideo, tiny."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AutoencoderKLHunyuanVideo,
    FlowMatchEulerDiscreteScheduler,
    HunyuanSkyreelsImageToVideoPipeline,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
)
from transformers import LlamaConfig, LlamaModel

from tests.families.parts import clip_text_model, word_tokenizer
from tests.families.weights import draw_weights

LLAMA = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


LATENTS = 4


def hunyuan_video() -> HunyuanVideoPipeline:
    return HunyuanVideoPipeline(**_parts(seed=8, in_channels=LATENTS))


def skyreels_image_to_video() -> HunyuanSkyreelsImageToVideoPipeline:
    """The first frame comes as further channels beside the noisy latents."""
    return HunyuanSkyreelsImageToVideoPipeline(**_parts(seed=13, in_channels=2 * LATENTS))


def _parts(seed: int, in_channels: int) -> dict[str, Any]:
    """The text encoder has three layers because the pipeline leaves out the last two."""
    tokenizer = word_tokenizer(*LLAMA)
    clip_tokenizer = word_tokenizer(end=True, max_length=77)
    transformer = HunyuanVideoTransformer3DModel(
        in_channels=in_channels,
        out_channels=LATENTS,
        num_attention_heads=4,
        attention_head_dim=12,
        num_layers=2,
        num_single_layers=4,
        num_refiner_layers=1,
        text_embed_dim=32,
        pooled_projection_dim=16,
        rope_axes_dim=(4, 4, 4),
    )
    text_encoder = LlamaModel(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=0,
        )
    )
    clip = clip_text_model(clip_tokenizer)
    vae = AutoencoderKLHunyuanVideo(
        latent_channels=LATENTS,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        scaling_factor=1.0,
    )
    draw_weights(transformer, text_encoder, clip, vae, seed=seed)
    return {
        "text_encoder": text_encoder,
        "tokenizer": tokenizer,
        "transformer": transformer,
        "vae": vae,
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=7.0),
        "text_encoder_2": clip,
        "tokenizer_2": clip_tokenizer,
    }
