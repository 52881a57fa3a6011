"""Wan 2.1 and Wan 2.2, tiny."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    UMT5Config,
    UMT5EncoderModel,
)

from tests.families.parts import word_tokenizer
from tests.families.weights import draw_weights

LATENTS = 4
FIRST_FRAME = 4 + LATENTS
"""Channels that tell of the first frame: which of four frames a latent knows, and its latents."""

VISION = 16
"""Width of the encoder that Wan 2.1 looks at the first frame with."""


def wan_2_1() -> WanPipeline:
    return WanPipeline(**_parts(6, transformer=_transformer()))


def wan_2_2() -> WanPipeline:
    """Two transformers: the first for timesteps of 875 and more out of 1000."""
    transformers = {"transformer": _transformer(), "transformer_2": _transformer()}
    return WanPipeline(**_parts(7, **transformers), boundary_ratio=0.875)


def wan_2_1_image_to_video() -> WanImageToVideoPipeline:
    """It sees the first frame through an encoder too, beside a text of 512 tokens in any case."""
    transformer = _transformer(
        in_channels=LATENTS + FIRST_FRAME, image_dim=VISION, added_kv_proj_dim=48
    )
    image_encoder = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=VISION,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=28,
            patch_size=14,
        )
    )
    side = {"height": 28, "width": 28}
    return WanImageToVideoPipeline(
        **_parts(11, transformer=transformer, image_encoder=image_encoder),
        image_processor=CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=side),
    )


def wan_2_2_image_to_video() -> WanImageToVideoPipeline:
    """No encoder for the first frame, and two transformers, as the real one has."""
    channels = LATENTS + FIRST_FRAME
    transformers = {
        "transformer": _transformer(in_channels=channels),
        "transformer_2": _transformer(in_channels=channels),
    }
    return WanImageToVideoPipeline(**_parts(12, **transformers), boundary_ratio=0.9)


def _parts(seed: int, **modules: Any) -> dict[str, Any]:
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
        z_dim=LATENTS,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
    draw_weights(*modules.values(), text_encoder, vae, seed=seed)
    return {
        "tokenizer": tokenizer,
        "text_encoder": text_encoder,
        "vae": vae,
        "scheduler": UniPCMultistepScheduler(
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            num_train_timesteps=1000,
            flow_shift=3.0,
        ),
        **modules,
    }


def _transformer(**settings: Any) -> WanTransformer3DModel:
    return WanTransformer3DModel(
        **{
            "num_attention_heads": 4,
            "attention_head_dim": 12,
            "in_channels": LATENTS,
            "out_channels": LATENTS,
            "text_dim": 32,
            "freq_dim": 32,
            "ffn_dim": 64,
            "num_layers": 6,
            "rope_max_seq_len": 64,
        }
        | settings
    )
