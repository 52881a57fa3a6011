"""The score of a CLIP model on disk: of the model itself, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from deployments.learned_scores import load_learned_scores

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP model with random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        PreTrainedTokenizerFast,
    )

    folder = tmp_path_factory.mktemp("clip")
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "projection_dim": 8}
    text = tower | heads | {"vocab_size": 8, "max_position_embeddings": 6}
    text |= {"bos_token_id": 0, "eos_token_id": 1}
    vision = tower | heads | {"image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(
        folder
    )
    words = ["<s>", "<e>", "<u>", "a", "red", "blue", "circle", "square"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<u>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A <e>", special_tokens=[("<s>", 0), ("<e>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<u>", pad_token="<e>", eos_token="<e>"
    ).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    return folder


def test_the_clip_score_is_a_cosine_of_prompt_and_picture(clip_folder: Path) -> None:
    score = load_learned_scores({"clip": clip_folder})["clip"]
    red, blue = (Image.new("RGB", (48, 48), colour) for colour in ("red", "blue"))
    found = [
        score(prompt, picture, red)
        for prompt in ("a red circle", "a blue square")
        for picture in (red, blue)
    ]
    assert all(-100 <= value <= 100 for value in found)
    assert len({round(value, 4) for value in found}) == 4
    assert score("a red circle", blue, blue) == found[1], "the reference makes no difference"


def test_a_prompt_that_is_too_long_for_clip_is_cut(clip_folder: Path) -> None:
    score = load_learned_scores({"clip": clip_folder})["clip"]
    picture = Image.new("RGB", (48, 48), "red")
    assert score("a " * 6 + "red", picture, picture) == score("a " * 40, picture, picture)
