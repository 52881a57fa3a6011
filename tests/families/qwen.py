"""Qwen-Image and Qwen-Image-Edit, tiny."""

from __future__ import annotations

from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from tests.families.parts import CHAT, VISION, word_tokenizer
from tests.families.weights import draw_weights


def qwen_image() -> QwenImagePipeline:
    tokenizer = word_tokenizer(*CHAT, *VISION)
    transformer, text_encoder = _transformer(), _text_encoder(tokenizer)
    vae = _autoencoder(levels=4)
    draw_weights(transformer, text_encoder, vae, seed=3)
    return QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=transformer,
    )


def qwen_image_edit() -> QwenImageEditPipeline:
    """Its VAE shrinks by 32, not 8, so that a million pixels make 256 tokens and not 4,096."""
    tokenizer = word_tokenizer(*CHAT, *VISION)
    transformer, text_encoder = _transformer(), _text_encoder(tokenizer)
    vae = _autoencoder(levels=6)
    draw_weights(transformer, text_encoder, vae, seed=4)
    size = {"shortest_edge": 28**2, "longest_edge": 56**2}
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(patch_size=14, merge_size=2, size=size),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(patch_size=14, merge_size=2, size=size),
    )
    return QwenImageEditPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        processor=processor,
        transformer=transformer,
    )


def _transformer() -> QwenImageTransformer2DModel:
    return QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=6,
        attention_head_dim=12,
        num_attention_heads=4,
        joint_attention_dim=32,
        axes_dims_rope=(4, 4, 4),
    )


def _text_encoder(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLForConditionalGeneration:
    def token(name: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(f"<|{name}|>"))

    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={
                "vocab_size": len(tokenizer),
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "max_position_embeddings": 1024,
                "rope_parameters": {
                    "rope_type": "default",
                    "rope_theta": 1e6,
                    "mrope_section": [1, 1, 2],
                },
                "bos_token_id": 0,
                "eos_token_id": 1,
                "pad_token_id": 0,
            },
            vision_config={
                "depth": 2,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_heads": 4,
                "out_hidden_size": 32,
                "fullatt_block_indexes": [1],
                "window_size": 56,
            },
            image_token_id=token("image_pad"),
            video_token_id=token("video_pad"),
            vision_start_token_id=token("vision_start"),
            vision_end_token_id=token("vision_end"),
        )
    )


def _autoencoder(levels: int) -> AutoencoderKLQwenImage:
    """Shrinks by 2 ** (levels - 1); its latents have four channels."""
    return AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1] * levels,
        num_res_blocks=1,
        temperal_downsample=[False] + [True] * (levels - 2),
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
