"""The tokenizers and text encoders of the embedded model, made in code and taught to read captions.

Real text encoders come to a diffusion model already able to read. These do too: CLIP's pooled
vector and every T5 token learn to tell a scene's layout (which thing stands where, on what
background) through a linear probe that is thrown away afterwards. They stay frozen while the
transformer is trained.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import torch
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from demo.world import (
    BACKGROUNDS,
    COLOURS,
    OPPOSITE,
    SHAPES,
    SIZES,
    Scene,
    caption,
    random_scene,
    spoken_caption,
    training_scene,
)

T5_TOKENS = 20
CLIP_TOKENS = 48
WIDTH = 128

PLACES = ("centre", "left of", "right of", "above", "below")
EMPTY = "nothing"
SLOTS = [EMPTY, *COLOURS], [EMPTY, *SHAPES]


def vocabulary() -> list[str]:
    """Every word of the canonical and the looser captions, sorted."""
    rng = random.Random(0)
    words = {word for _ in range(4000) for word in caption(random_scene(rng)).split()}
    return sorted(words | {"to", "the", "and", "of", "in", "with", "picture", "big", ","})


def build_t5_tokenizer() -> T5TokenizerFast:
    pieces = (
        [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
        + [(f"▁{word}", -1.0) for word in vocabulary()]
        + [(",", -1.0)]
    )
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=T5_TOKENS)


def build_clip_tokenizer() -> CLIPTokenizer:
    merges = _merges(vocabulary())
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{each}</w>" for each in letters)]
    pieces += [",", ",</w>", *("".join(merge) for merge in merges)]
    vocab = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=CLIP_TOKENS)


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges that make each word one token.

    The commonest pair first and, unlike in the `tokenizers` trainer, always the same among equals.
    """
    parts = {word: [*word[:-1], f"{word[-1]}</w>"] for word in words}
    merges = []
    while counts := Counter(pair for split in parts.values() for pair in pairwise(split)):
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for word, split in parts.items():
            parts[word] = _merged(split, best)
    return merges


def _merged(split: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for piece in split:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def build_text_encoders(
    clip_tokenizer: CLIPTokenizer, t5_tokenizer: T5TokenizerFast
) -> tuple[CLIPTextModel, T5EncoderModel]:
    """Fresh encoders; weights come from torch's global generator."""
    clip = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(clip_tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CLIP_TOKENS,
            projection_dim=WIDTH,
            bos_token_id=clip_tokenizer.bos_token_id,
            eos_token_id=clip_tokenizer.eos_token_id,
            pad_token_id=clip_tokenizer.pad_token_id,
        )
    )
    t5 = T5EncoderModel(
        T5Config(
            vocab_size=len(t5_tokenizer),
            d_model=WIDTH,
            d_kv=32,
            d_ff=2 * WIDTH,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
        )
    )
    return clip, t5


def tokenize(tokenizer: CLIPTokenizer | T5TokenizerFast, texts: list[str]) -> torch.Tensor:
    """Token ids (B, model_max_length), padded as `FluxPipeline` pads them."""
    ids: torch.Tensor = tokenizer(
        texts,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return ids


def teach_reading(
    clip: CLIPTextModel,
    t5: T5EncoderModel,
    clip_tokenizer: CLIPTokenizer,
    t5_tokenizer: T5TokenizerFast,
    steps: int,
    seed: int,
) -> float:
    """Trains both encoders to tell the layout of a scene from its caption.

    Returns the share of slots read right at the end.
    """
    rng = random.Random(seed)
    sizes = [len(SLOTS[0]), len(SLOTS[1])] * len(PLACES) + [1 + len(SIZES), len(BACKGROUNDS)]
    probes = nn.ModuleList([nn.Linear(WIDTH, sum(sizes)), nn.Linear(WIDTH, sum(sizes))])
    parameters = [*clip.parameters(), *t5.parameters(), *probes.parameters()]
    optimizer = torch.optim.AdamW(parameters, 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    right = 0.0
    for step in range(steps):
        scenes = [training_scene(rng) for _ in range(96)]
        texts = [spoken_caption(scene, rng) for scene in scenes]
        targets = torch.tensor([_layout(scene) for scene in scenes])
        pooled = clip(tokenize(clip_tokenizer, texts)).pooler_output
        tokens = t5(tokenize(t5_tokenizer, texts))[0]
        loss = torch.zeros(())
        hits = []
        for logits in (probes[0](pooled), *probes[1](tokens).unbind(1)[::3]):
            for slot, target in zip(logits.split(sizes, -1), targets.unbind(1), strict=True):
                loss = loss + nn.functional.cross_entropy(slot, target)
                hits.append((slot.argmax(-1) == target).float().mean().item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        right = sum(hits) / len(hits)
        if step % 100 == 0 or step == steps - 1:
            print(
                f"text encoders: step {step}/{steps} loss {loss.item():.3f} "
                f"slots right {right:.4f}",
                flush=True,
            )
    return right


def _layout(scene: Scene) -> list[int]:
    """The scene as one class per slot: colour and shape at each place, the size, the background."""
    if scene.relation is None:
        at = {"centre": scene.things[0]}
    else:
        at = {scene.relation: scene.things[0], OPPOSITE[scene.relation]: scene.things[1]}
    layout = []
    for place in PLACES:
        thing = at.get(place)
        layout += [
            SLOTS[0].index(thing.colour if thing else EMPTY),
            SLOTS[1].index(thing.shape if thing else EMPTY),
        ]
    return [*layout, (None, *SIZES).index(scene.size), BACKGROUNDS.index(scene.background)]
