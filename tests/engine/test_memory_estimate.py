"""Estimated activations are at or above the tensors that are alive at once in a real pass.

The passes run on torch's meta device, so they cost no memory. Attention is replaced by one that
makes its output alone, as flash attention does.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deployments.architecture import _meta_module, _read_json, pipeline_shape
from deployments.architecture_files import architecture_folder
from placement.memory import Run, memory_per_rank

pytestmark = pytest.mark.filterwarnings("ignore")


class LiveBytes(TorchDispatchMode):
    """The most bytes of storage that were alive at once, made while this was active."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                key = storage._cdata
                if key not in self._alive:
                    self._alive[key] = storage.nbytes()
                    weakref.finalize(storage, self._alive.pop, key, None)
        self.peak = max(self.peak, sum(self._alive.values()))
        return out


def _empty(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta", dtype=torch.bfloat16)


def _peak(source: str, component: str, call: Callable[[Any], object]) -> int:
    folder = architecture_folder(source)
    index = _read_json(folder / "model_index.json", source)
    module = _meta_module(*index[component], folder / component, source)
    assert module is not None
    module = module.to(torch.bfloat16).eval()
    with torch.inference_mode(), LiveBytes() as live:
        call(module)
    return live.peak


FLUX, KLEIN, QWEN = (
    "black-forest-labs/FLUX.1-dev",
    "black-forest-labs/FLUX.2-klein-4B",
    ("Qwen/Qwen-Image"),
)
Z_IMAGE, WAN, HUNYUAN = (
    "Tongyi-MAI/Z-Image-Turbo",
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    "hunyuanvideo-community/HunyuanVideo",
)

BATCH = 4

DENOISE: dict[str, tuple[Run, Callable[[Any], object]]] = {
    FLUX: (
        Run(1024, 1024),
        lambda m: m(
            hidden_states=_empty(1, 4096, 64),
            encoder_hidden_states=_empty(1, 512, 4096),
            pooled_projections=_empty(1, 768),
            timestep=_empty(1),
            guidance=_empty(1),
            img_ids=_empty(4096, 3),
            txt_ids=_empty(512, 3),
        ),
    ),
    KLEIN: (
        Run(1024, 1024),
        lambda m: m(
            hidden_states=_empty(1, 4096, 128),
            encoder_hidden_states=_empty(1, 512, 7680),
            timestep=_empty(1),
            img_ids=_empty(1, 4096, 4),
            txt_ids=_empty(1, 512, 4),
        ),
    ),
    QWEN: (
        Run(1024, 1024),
        lambda m: m(
            hidden_states=_empty(1, 4096, 64),
            encoder_hidden_states=_empty(1, 512, 3584),
            encoder_hidden_states_mask=None,
            timestep=_empty(1),
            img_shapes=[[(1, 64, 64)]],
        ),
    ),
    Z_IMAGE: (
        Run(1024, 1024),
        lambda m: m([_empty(16, 1, 128, 128)], _empty(1), [_empty(512, 2560)]),
    ),
    WAN: (
        Run(832, 480, frames=81),
        lambda m: m(
            hidden_states=_empty(1, 16, 21, 60, 104),
            timestep=_empty(1),
            encoder_hidden_states=_empty(1, 512, 4096),
        ),
    ),
    HUNYUAN: (
        Run(1280, 720, frames=61, text_tokens=256),
        lambda m: m(
            hidden_states=_empty(1, 16, 16, 90, 160),
            timestep=_empty(1),
            encoder_hidden_states=_empty(1, 256, 4096),
            encoder_attention_mask=_empty(1, 256),
            pooled_projections=_empty(1, 768),
            guidance=_empty(1),
        ),
    ),
}

DECODE: dict[str, tuple[Run, tuple[int, ...]]] = {
    FLUX: (Run(1024, 1024), (1, 16, 128, 128)),
    KLEIN: (Run(1024, 1024), (1, 32, 128, 128)),
    QWEN: (Run(1024, 1024), (1, 16, 1, 128, 128)),
    WAN: (Run(832, 480, frames=81), (1, 16, 21, 60, 104)),
    HUNYUAN: (Run(640, 352, frames=17), (1, 16, 5, 44, 80)),
}


def _attend_without_a_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    def attend(query: torch.Tensor, *rest: Any, **settings: Any) -> torch.Tensor:
        return torch.empty_like(query)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attend)


@pytest.mark.parametrize("source", DENOISE)
def test_denoising_holds_no_more_than_estimated(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _attend_without_a_matrix(monkeypatch)
    run, call = DENOISE[source]
    estimate = memory_per_rank(pipeline_shape(source), run).stages["denoise"].activation_bytes
    assert 0.6 * estimate <= _peak(source, "transformer", call) <= estimate


def test_denoising_a_batch_holds_no_more_than_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    _attend_without_a_matrix(monkeypatch)
    estimate = memory_per_rank(pipeline_shape(FLUX), Run(1024, 1024, pictures=BATCH))
    real = _peak(
        FLUX,
        "transformer",
        lambda m: m(
            hidden_states=_empty(BATCH, 4096, 64),
            encoder_hidden_states=_empty(BATCH, 512, 4096),
            pooled_projections=_empty(BATCH, 768),
            timestep=_empty(BATCH),
            guidance=_empty(BATCH),
            img_ids=_empty(4096, 3),
            txt_ids=_empty(512, 3),
        ),
    )
    estimated = estimate.stages["denoise"].activation_bytes
    assert 0.6 * estimated <= real <= estimated


@pytest.mark.parametrize("source", [FLUX, KLEIN, QWEN])
def test_decoding_a_batch_picture_by_picture_holds_no_more_than_estimated(source: str) -> None:
    one, latents = DECODE[source]
    estimate = memory_per_rank(pipeline_shape(source), replace(one, pictures=BATCH))

    def decode(vae: Any) -> object:
        vae.enable_slicing()
        return vae.decode(_empty(BATCH, *latents[1:]))

    estimated = estimate.stages["decode"].activation_bytes
    assert 0.5 * estimated <= _peak(source, "vae", decode) <= estimated


@pytest.mark.parametrize("source", DECODE)
def test_decoding_holds_no_more_than_estimated(source: str) -> None:
    run, latents = DECODE[source]
    estimate = memory_per_rank(pipeline_shape(source), run).stages["decode"].activation_bytes
    real = _peak(source, "vae", lambda m: m.decode(_empty(*latents)))
    assert 0.5 * estimate <= real <= estimate
