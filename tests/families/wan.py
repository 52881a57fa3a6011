"""Wan 2.1 and Wan 2.2, tiny."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import UMT5Config, UMT5EncoderModel

from tests.families.parts import word_tokenizer
from tests.families.weights import draw_weights


def wan_2_1() -> WanPipeline:
    transformer = _transformer()
    return _pipeline(6, transformer=transformer)


def wan_2_2() -> WanPipeline:
    """Two transformers: the first for timesteps of 875 and more out of 1000."""
    return _pipeline(
        7, transformer=_transformer(), transformer_2=_transformer(), boundary_ratio=0.875
    )


def _pipeline(seed: int, **settings: Any) -> WanPipeline:
    tokenizer = word_tokenizer(end=True, max_length=512)
    text_encoder = UMT5EncoderModel(
        UMT5Config(
            vocab_size=len(tokenizer),
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
    vae = AutoencoderKLWan(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
    transformers = [part for name, part in settings.items() if name.startswith("transformer")]
    draw_weights(*transformers, text_encoder, vae, seed=seed)
    return WanPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=vae,
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            num_train_timesteps=1000,
            flow_shift=3.0,
        ),
        **settings,
    )


def _transformer() -> WanTransformer3DModel:
    return WanTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=32,
        freq_dim=32,
        ffn_dim=64,
        num_layers=6,
        rope_max_seq_len=64,
    )
