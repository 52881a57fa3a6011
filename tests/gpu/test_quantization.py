"""Every quantization type on CUDA, against the same pipeline in bfloat16.

The embedded model is trained, so that its pictures tell how much a type costs; its layers are
multiples of 128, which float8_per_block wants. The tiny FLUX has the heads and guidance of a real
one, and layers of 48, so that it has no layer for float8_per_block.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from cluster.acceleration import QuantizeConfig
from cluster.tiers import Tier
from tests.gpu.conftest import Tell
from tests.gpu.engines import EMBEDDED, draw, engine_of, job_of, psnr_db

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]

TYPES = get_args(QuantizeConfig.model_fields["quant_type"].annotation)
PSNR_DB_MIN = 25.0
"""Of a quantized picture of the embedded model against bfloat16, after all steps."""
TINY_PSNR_DB_MIN = 20.0
"""Of the tiny FLUX, whose random weights enlarge each error."""


def quantized_layers(engine: Any) -> int:
    """Linear layers whose weights are no plain tensors any more."""
    import torch

    (cached,) = engine._cached
    return sum(
        isinstance(layer, torch.nn.Linear) and type(layer.weight.data) is not torch.Tensor
        for layer in cached.module.modules()
    )


@pytest.mark.parametrize("quant_type", TYPES)
def test_a_type_keeps_the_picture_of_the_embedded_model(tell: Tell, quant_type: str) -> None:
    whole = draw(engine_of(EMBEDDED, dtype="bfloat16"))
    engine = engine_of(
        EMBEDDED, dtype="bfloat16", quantize_config={"quant_type": quant_type, "exclude_layers": []}
    )
    drawn, cached = draw(engine), draw(engine, Tier.FAST)
    layers = quantized_layers(engine)
    tell(PSNR_dB=round(psnr_db(drawn, whole), 1), layers=layers)
    assert layers > 0
    assert PSNR_DB_MIN < psnr_db(drawn, whole) < float("inf")
    assert cached.result.steps_computed == 11


@pytest.mark.parametrize("quant_type", [each for each in TYPES if each != "float8_per_block"])
def test_a_type_keeps_the_picture_of_a_tiny_flux(
    tell: Tell, tiny_flux: Path, quant_type: str
) -> None:
    job = job_of("64x64", num_inference_steps=8)
    whole = draw(engine_of(tiny_flux, "64x64", dtype="bfloat16"), job=job)
    engine = engine_of(
        tiny_flux, "64x64", dtype="bfloat16", quantize_config={"quant_type": quant_type}
    )
    drawn = draw(engine, job=job)
    layers = quantized_layers(engine)
    tell(PSNR_dB=round(psnr_db(drawn, whole), 1), layers=layers)
    assert layers > 0
    assert TINY_PSNR_DB_MIN < psnr_db(drawn, whole) < float("inf")


def test_bfloat16_keeps_the_picture_of_float32(tell: Tell) -> None:
    """What the types are to be measured by."""
    whole = draw(engine_of(EMBEDDED))
    drawn = draw(engine_of(EMBEDDED, dtype="bfloat16"))
    tell(PSNR_dB=round(psnr_db(drawn, whole), 1))
    assert psnr_db(drawn, whole) > PSNR_DB_MIN
