"""Z-Image, tiny."""

from __future__ import annotations

from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from transformers import Qwen3Model

from tests.families.parts import CHAT, autoencoder_kl, qwen3_config, word_tokenizer
from tests.families.weights import draw_weights


def z_image() -> ZImagePipeline:
    """Two refiner layers, as the real one: cache-dit's split over ranks needs a first and last."""
    tokenizer = word_tokenizer(*CHAT, chat=True)
    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=48,
        n_layers=6,
        n_refiner_layers=2,
        n_heads=4,
        n_kv_heads=4,
        cap_feat_dim=16,
        axes_dims=[4, 4, 4],
        axes_lens=[128, 64, 64],
    )
    text_encoder = Qwen3Model(qwen3_config(tokenizer, layers=3))
    vae = autoencoder_kl()
    draw_weights(transformer, text_encoder, vae, seed=5)
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=transformer,
    )
