"""Shapes counted without weights are those of the real models."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cluster.errors import ConfigError
from deployments.architecture import pipeline_shape
from placement.memory import Run, memory_per_rank
from tests.families import FAMILIES

pytestmark = pytest.mark.filterwarnings("ignore")

BILLIONS = {
    "black-forest-labs/FLUX.1-dev": {"transformer": 11.90, "text_encoder_2": 4.76, "vae": 0.084},
    "black-forest-labs/FLUX.2-klein-4B": {"transformer": 3.88, "text_encoder": 4.02},
    "Qwen/Qwen-Image": {"transformer": 20.43, "text_encoder": 8.29, "vae": 0.127},
    "Qwen/Qwen-Image-Edit": {"transformer": 20.43, "text_encoder": 8.29, "vae": 0.127},
    "Tongyi-MAI/Z-Image-Turbo": {"transformer": 6.15, "text_encoder": 4.02, "vae": 0.084},
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": {"transformer": 1.42, "text_encoder": 5.68, "vae": 0.127},
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": {"transformer": 14.29, "text_encoder": 5.68, "vae": 0.127},
    "Wan-AI/Wan2.2-T2V-A14B-Diffusers": {"transformer": 14.29, "transformer_2": 14.29},
    "hunyuanvideo-community/HunyuanVideo": {"transformer": 12.82, "text_encoder": 7.51},
}
"""Billions of parameters; `configs/architectures/README.md` has the sources."""

GEOMETRY = {
    "black-forest-labs/FLUX.1-dev": (24, 128, 4096),
    "black-forest-labs/FLUX.2-klein-4B": (24, 128, 4096),
    "Qwen/Qwen-Image": (24, 128, 4096),
    "Qwen/Qwen-Image-Edit": (24, 128, 8192),
    "Tongyi-MAI/Z-Image-Turbo": (30, 128, 4096),
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": (12, 128, 4096),
    "hunyuanvideo-community/HunyuanVideo": (24, 128, 4096),
}


@pytest.mark.parametrize("source", BILLIONS)
def test_parameters_are_those_of_the_real_models(source: str) -> None:
    counted = {part.name: part.parameters for part in pipeline_shape(source).components}
    for name, billions in BILLIONS[source].items():
        assert counted[name] / 1e9 == pytest.approx(billions, rel=0.005)


@pytest.mark.parametrize("source", GEOMETRY)
def test_heads_and_tokens_of_a_picture_of_1024(source: str) -> None:
    shape = pipeline_shape(source)
    tokens = shape.tokens(1024, 1024, 1)
    assert (shape.denoiser.heads, shape.denoiser.head_dim, tokens) == GEOMETRY[source]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_bytes_equal_those_of_the_loaded_embedded_model(dtype: torch.dtype) -> None:
    run = Run(128, 128, dtype_bytes=dtype.itemsize)
    counted = memory_per_rank(pipeline_shape("demo/weights"), run).weights
    assert counted == loaded_bytes("demo/weights", dtype)


@pytest.mark.parametrize("name", FAMILIES)
def test_bytes_equal_those_of_the_loaded_tiny_pipelines(
    name: str, family_folders: Callable[[str], Path]
) -> None:
    source = str(family_folders(name))
    counted = memory_per_rank(pipeline_shape(source), Run(64, 64, dtype_bytes=4)).weights
    assert counted == loaded_bytes(source, torch.float32)


def loaded_bytes(source: str, dtype: torch.dtype) -> dict[str, int]:
    """Bytes of the parameters of a pipeline that is really loaded, by component."""
    from diffusers import DiffusionPipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = DiffusionPipeline.from_pretrained(source, dtype=dtype).components
    return {
        name: sum(each.numel() * each.element_size() for each in part.parameters())
        for name, part in loaded.items()
        if hasattr(part, "parameters")
    }


def test_a_source_that_is_nowhere_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"nobody/nothing: its config files are neither shipped"):
        pipeline_shape("nobody/nothing")
    with pytest.raises(ConfigError, match=r"no such folder: neither a folder nor a hub id"):
        pipeline_shape("no such folder")


def test_a_folder_that_is_no_pipeline_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model_index\.json cannot be read"):
        pipeline_shape(str(tmp_path))
    shutil.copytree("configs/architectures/Qwen--Qwen-Image", tmp_path / "copy")
    index = tmp_path / "copy/model_index.json"
    known = json.loads(index.read_text())
    index.write_text(json.dumps(known | {"transformer": ["diffusers", "NoSuchTransformer"]}))
    with pytest.raises(ConfigError, match=r"diffusers [\d.]+ has no NoSuchTransformer"):
        pipeline_shape(str(tmp_path / "copy"))
    index.write_text(json.dumps(known | {"transformer": ["mine", "Transformer"]}))
    with pytest.raises(ConfigError, match="is of mine, so it cannot be counted"):
        pipeline_shape(str(tmp_path / "copy/../copy"))
