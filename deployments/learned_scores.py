"""Scores of pictures by trained networks. Weights are given by path; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from cluster.errors import ConfigError

LearnedScore = Callable[[str, Image.Image, Image.Image], float]
"""Of a prompt, a picture and its reference."""


def load_learned_scores(weights: Mapping[str, Path]) -> dict[str, LearnedScore]:
    """The scores that have weights, by name.

    Raises:
        ConfigError: no such score, its library is not installed, or these are not its weights.
    """
    if unknown := sorted(weights.keys() - _LOADERS.keys()):
        raise ConfigError(
            f"--weights: no score {unknown[0]}; there are {', '.join(sorted(_LOADERS))}"
        )
    return {name: _LOADERS[name](path) for name, path in weights.items()}


def _clip_score(path: Path) -> LearnedScore:
    """100 times the cosine of prompt and picture (Hessel et al., CLIPScore, EMNLP 2021).

    `path` is a folder of a CLIP model as transformers saves it. Prompts are cut at its length.
    """
    import torch
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    try:
        model = CLIPModel.from_pretrained(path, local_files_only=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        processor = CLIPImageProcessorPil.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--weights clip={path}: no CLIP model: {error}") from error

    def score(prompt: str, picture: Image.Image, reference: Image.Image) -> float:
        length = model.config.text_config.max_position_embeddings
        words = tokenizer(prompt, truncation=True, max_length=length, return_tensors="pt")
        with torch.inference_mode():
            found = model(**words, **processor(picture, return_tensors="pt"))
        cosine = torch.nn.functional.cosine_similarity(found.text_embeds, found.image_embeds)
        return 100 * float(cosine)

    return score


def _lpips(path: Path) -> LearnedScore:
    """Distance of deep features (Zhang et al., CVPR 2018), AlexNet's; 0 for equal pictures.

    `path` is AlexNet's file of weights as torchvision publishes it; the layer on top is part of the
    library `lpips`.
    """
    try:
        import lpips
        import torch
        import torchvision
    except ImportError as error:
        raise ConfigError(
            f"--weights lpips={path}: the library {error.name} is not installed: "
            "pip install lpips torchvision"
        ) from error
    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    trained = torchvision.models.alexnet(weights=None)
    try:
        trained.load_state_dict(torch.load(path, weights_only=True))
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"--weights lpips={path}: no weights of AlexNet: {error}") from error
    for number in range(1, 6):
        for index, layer in getattr(network.net, f"slice{number}").named_children():
            layer.load_state_dict(trained.features[int(index)].state_dict())

    def score(prompt: str, picture: Image.Image, reference: Image.Image) -> float:
        first, second = (lpips.im2tensor(np.asarray(each)) for each in (picture, reference))
        with torch.inference_mode():
            return float(network(first, second))

    return score


_LOADERS: Mapping[str, Callable[[Path], LearnedScore]] = {"clip": _clip_score, "lpips": _lpips}
