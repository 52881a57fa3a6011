"""What several families share: a tokenizer, text encoders and a VAE."""

from __future__ import annotations

from diffusers import AutoencoderKL
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

WORDS = (
    "a an the red green blue yellow orange purple white black gray large small circle square "
    "triangle star left right above below of on background moving up down"
)
CHAT = ("<|im_start|>", "<|im_end|>")
VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def word_tokenizer(
    *special: str, end: bool = False, max_length: int = 1024, chat: bool = False
) -> PreTrainedTokenizerFast:
    """One token per word, punctuation mark and line break, as subword tokenizers mostly give too.

    So the templates of the pipelines are about as long in tokens as they really are. `end` puts
    `</s>` after each text; ids 0, 1 and 2 are padding, `</s>` and any unknown word.
    """
    tokens = ["<pad>", "</s>", "<unk>", *special, "\n", *WORDS.split()]
    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"\n|'?\w+|[^\w\s]"), "removed", invert=True
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    if end:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        padding_side="right",
        model_max_length=max_length,
        chat_template=CHAT_TEMPLATE if chat else None,
    )


def clip_text_model(tokenizer: PreTrainedTokenizerFast) -> CLIPTextModel:
    """A text encoder of width 16 whose pooled output is read at `</s>`."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            projection_dim=16,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=0,
        )
    )


def qwen3_config(tokenizer: PreTrainedTokenizerFast, layers: int) -> Qwen3Config:
    """Width 16, four heads of four, all with keys and values of their own."""
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=4,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=0,
    )


def autoencoder_kl() -> AutoencoderKL:
    """Eight pixels to a latent of four channels."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=1.0,
        shift_factor=0.0,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
