"""FLUX.1 and FLUX.2 [klein], tiny."""

from __future__ import annotations

from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
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


def flux() -> FluxPipeline:
    """Guidance-distilled, like FLUX.1 [dev]: `guidance_scale` is an input of the transformer."""
    clip_tokenizer = word_tokenizer(end=True, max_length=77)
    t5_tokenizer = word_tokenizer(end=True, max_length=512)
    transformer = FluxTransformer2DModel(
        in_channels=16,
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
    draw_weights(transformer, clip, t5, vae, seed=1)
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=clip,
        tokenizer=clip_tokenizer,
        text_encoder_2=t5,
        tokenizer_2=t5_tokenizer,
        transformer=transformer,
    )


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
