"""The tiny families are what the parallel tests take them for: alive, repeatable, small."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.families import FAMILIES, FROM_PICTURES, Family, family_folder

pytestmark = pytest.mark.filterwarnings("ignore")

STEPS = 4
ALL = FAMILIES | FROM_PICTURES


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@pytest.fixture(params=ALL.values(), ids=ALL.keys())
def family(request: pytest.FixtureRequest) -> Family:
    family: Family = request.param
    if family.needs and find_spec(family.needs) is None:
        pytest.skip(f"{family.pipeline} cannot be loaded without {family.needs}")
    return family


@pytest.fixture(scope="module")
def loaded(base: Path) -> Callable[[str], Any]:
    """The pipeline of a family by its name, from its folder; loaded once."""
    return functools.cache(lambda name: load(family_folder(name, base)))


def load(folder: Path) -> Any:
    import torch
    from diffusers import DiffusionPipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = DiffusionPipeline.from_pretrained(
            str(folder),
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: Any, family: Family, *, guided: bool = False, **arguments: Any) -> np.ndarray:
    import torch

    output = pipeline(
        **family.call_arguments(guided=guided) | arguments,
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    )
    return np.asarray(output.frames if family.makes_video else output.images)[0]


def calls_per_step(pipeline: Any, family: Family, *, guided: bool) -> float:
    calls = []
    hooks = [
        getattr(pipeline, name).register_forward_pre_hook(lambda *_: calls.append(1))
        for name in family.transformers
    ]
    draw(pipeline, family, guided=guided)
    for hook in hooks:
        hook.remove()
    return len(calls) / STEPS


def test_a_family_survives_its_folder_and_draws_something(
    family: Family, loaded: Callable[[str], Any]
) -> None:
    built = family.made()
    built.set_progress_bar_config(disable=True)
    pipeline = loaded(family.name)
    assert type(pipeline).__name__ == family.pipeline
    picture = draw(pipeline, family)
    assert np.abs(picture - draw(built, family)).max() <= 4e-6
    frames = (family.arguments["num_frames"],) if family.makes_video else ()
    size = (family.arguments["height"], family.arguments["width"])
    assert picture.shape == (*frames, *size, 3)
    assert picture.std() > 0.05
    assert ((picture <= 0) | (picture >= 1)).mean() < 0.3
    other = draw(pipeline, family, prompt="a large green star on purple background moving up there")
    assert np.abs(picture - other).max() > 0.01


def test_guidance_makes_as_many_calls_as_the_family_says(
    family: Family, loaded: Callable[[str], Any]
) -> None:
    pipeline = loaded(family.name)
    assert calls_per_step(pipeline, family, guided=False) == 1
    assert calls_per_step(pipeline, family, guided=True) == family.guided_calls


def test_the_sequences_are_as_long_as_the_family_says(
    family: Family, loaded: Callable[[str], Any]
) -> None:
    lengths = sequence_lengths(loaded(family.name), family)
    apart, joined = (
        [family.image_tokens, family.text_tokens],
        family.image_tokens + family.text_tokens,
    )
    assert lengths in (apart, [joined])
    if family.name in FAMILIES:
        assert not any(length % 4 for length in apart), "four ranks must share them out"


def sequence_lengths(pipeline: Any, family: Family) -> list[int]:
    """Tokens of picture and of text that the transformer's first block is handed."""
    parts = dict(pipeline.transformer.named_children())
    blocks = next(
        parts[name] for name in ("transformer_blocks", "blocks", "layers") if name in parts
    )
    lengths: list[int] = []

    def note(block: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        both = [named.get(name) for name in ("hidden_states", "encoder_hidden_states")]
        lengths[:] = [states.shape[1] for states in (*both, *given[:2]) if states is not None]

    hook = blocks[0].register_forward_pre_hook(note, with_kwargs=True)
    draw(pipeline, family)
    hook.remove()
    return lengths
