"""Tiers on CUDA: `none` is plain diffusers, masks hold, and nothing is left behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cluster.tiers import Tier
from tests.gpu.conftest import Tell
from tests.gpu.engines import (
    DEVICE,
    EMBEDDED,
    PROMPT,
    STEPS,
    difference,
    draw,
    engine_of,
    job_of,
    psnr_db,
)

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_none_equals_plain_diffusers_bit_for_bit(tell: Tell, dtype: str) -> None:
    import torch
    from diffusers import DiffusionPipeline

    ours = draw(engine_of(EMBEDDED, dtype=dtype))
    pipeline: Any = DiffusionPipeline.from_pretrained(
        str(EMBEDDED), local_files_only=True, dtype=getattr(torch, dtype)
    ).to(DEVICE)
    pipeline.set_progress_bar_config(disable=True)
    plain = pipeline(
        PROMPT,
        width=128,
        height=128,
        num_inference_steps=STEPS,
        max_sequence_length=20,
        generator=torch.Generator("cpu").manual_seed(3),
        output_type="np",
    ).images[0]
    tell(difference=float(np.abs(ours.values - plain).max()))
    assert np.array_equal(ours.values, plain)


@pytest.mark.parametrize(
    ("steps", "computed"), [(28, [28, 18, 15, 11, 8]), (50, [50, 38, 29, 20, 14])]
)
def test_a_static_mask_computes_just_its_steps(tell: Tell, steps: int, computed: list[int]) -> None:
    engine = engine_of(EMBEDDED)
    job = job_of(num_inference_steps=steps)
    drawn = {tier: draw(engine, tier, job) for tier in Tier}
    tell(
        **{f"{tier}_s": round(each.result.denoise_s, 4) for tier, each in drawn.items()},
        **{
            f"{tier}_PSNR_dB": round(psnr_db(each, drawn[Tier.NONE]), 1)
            for tier, each in drawn.items()
            if tier is not Tier.NONE
        },
    )
    assert [each.result.steps_computed for each in drawn.values()] == computed
    assert all(psnr_db(each, drawn[Tier.NONE]) > 25 for each in drawn.values())


def test_the_same_request_gives_the_same_values_whatever_came_between(tell: Tell) -> None:
    engine = engine_of(EMBEDDED, cache_config={"Fn_compute_blocks": 1, "enable_taylorseer": True})
    first = [draw(engine, tier) for tier in Tier]
    draw(engine, Tier.ULTRA, job_of("64x96", num_inference_steps=13, seed=9))
    again = [draw(engine, tier) for tier in Tier]
    differences = [difference(*pair) for pair in zip(first, again, strict=True)]
    tell(largest_difference=max(differences))
    assert max(differences) == 0
