"""What a rank holds, by how the pipeline is divided, quantized and offloaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from placement.memory import MemoryPlan, Run, memory_per_rank
from placement.shapes import (
    BlockLinear,
    ComponentShape,
    DenoiserShape,
    PipelineShape,
    VaeShape,
)

WORK = BlockLinear("attn.to_q", rows=1000, columns=1000, count=10)
MODULATION = BlockLinear("img_mod.1", rows=6000, columns=1000, count=10)
ENCODER_WORK = BlockLinear("self_attn.q_proj", rows=1000, columns=1000, count=40)

SHAPE = PipelineShape(
    name="a pipeline",
    components=(
        ComponentShape(
            "transformer",
            "transformer",
            parameters=72_000_000,
            float32_parameters=1_000_000,
            largest_layer=7_000_000,
            linears=(WORK, MODULATION),
        ),
        ComponentShape(
            "text_encoder",
            "text_encoder",
            parameters=50_000_000,
            largest_layer=9_000_000,
            linears=(ENCODER_WORK,),
            token_elements=1000,
            shards=True,
        ),
        ComponentShape("vae", "vae", parameters=3_000_000, largest_layer=1_000_000),
    ),
    denoiser=DenoiserShape(heads=8, head_dim=125, hidden_size=1000, layers=10, widest=4000),
    vae=VaeShape(latent_channels=16, spatial_scale=8, temporal_scale=4, widest_channels=64),
)
RUN = Run(width=512, height=512, text_tokens=100)


def plan(shape: PipelineShape = SHAPE, **settings: object) -> MemoryPlan:
    return memory_per_rank(shape, replace(RUN, **settings))  # type: ignore[arg-type]


def test_weights_are_parameters_times_bytes_with_the_float32_ones_at_four() -> None:
    assert plan().weights == {
        "transformer": 71_000_000 * 2 + 1_000_000 * 4,
        "text_encoder": 100_000_000,
        "vae": 6_000_000,
    }
    assert plan(dtype_bytes=4).weight_bytes == 125_000_000 * 4


def test_tensor_parallelism_divides_the_work_of_blocks_and_not_their_modulation() -> None:
    whole, divided = plan(), plan(tp_size=2, num_ranks=2)
    assert whole.weights["transformer"] - divided.weights["transformer"] == WORK.weights * 2 // 2
    assert divided.weights["text_encoder"] == whole.weights["text_encoder"]


def test_sequence_parallelism_divides_activations_and_no_weights() -> None:
    whole, divided = (
        plan(width=2048, height=2048),
        plan(width=2048, height=2048, num_ranks=4, sequence_parallel=4),
    )
    assert divided.weights == whole.weights
    ratio = divided.stages["denoise"].activation_bytes / whole.stages["denoise"].activation_bytes
    assert 0.25 < ratio < 0.35


def test_a_parallel_text_encoder_is_divided_over_all_ranks_if_it_can_be() -> None:
    assert plan(num_ranks=4, text_encoder_parallel=True).weights["text_encoder"] == (
        ENCODER_WORK.weights * 2 // 4 + 10_000_000 * 2
    )
    encoder = replace(SHAPE.components[1], shards=False)
    shape = replace(SHAPE, components=(SHAPE.components[0], encoder, SHAPE.components[2]))
    assert plan(shape, num_ranks=4, text_encoder_parallel=True).weights["text_encoder"] == 1e8


@pytest.mark.parametrize(
    ("quantization", "scales"),
    [
        ("float8_per_row", 1000),
        ("int8_weight_only", 1000),
        ("float8_per_tensor", 1),
        ("float8_per_block", 8 * 8),
    ],
)
def test_quantized_layers_are_one_byte_a_weight_and_their_scales(
    quantization: str, scales: int
) -> None:
    quantized = plan(quantization=quantization, exclude_layers=("mod",))
    saved = plan().weights["transformer"] - quantized.weights["transformer"]
    assert saved == WORK.weights - scales * 4 * WORK.count
    assert quantized.weights["text_encoder"] == plan().weights["text_encoder"]


def test_nothing_excluded_quantizes_modulation_too() -> None:
    all_of_them = plan(quantization="float8_per_row").weights["transformer"]
    assert (
        all_of_them
        < plan(quantization="float8_per_row", exclude_layers=("mod",)).weights["transformer"]
    )


def test_without_offload_a_rank_loads_everything_whole() -> None:
    quantized = plan(quantization="float8_per_row", num_ranks=2, tp_size=2)
    assert quantized.stages["load"].total_bytes == plan().weight_bytes > quantized.weight_bytes


def test_offload_says_what_is_there_in_each_stage() -> None:
    everything = plan().weight_bytes
    assert {stage.weight_bytes for stage in plan().stages.values()} == {everything}

    encoder_away = plan(offload="text_encoder").stages
    assert encoder_away["encode"].weight_bytes == everything
    assert encoder_away["denoise"].weight_bytes == everything - 100_000_000

    one_at_a_time = plan(offload="model")
    assert {name: stage.weight_bytes for name, stage in one_at_a_time.stages.items()} == {
        "encode": one_at_a_time.weights["text_encoder"],
        "denoise": one_at_a_time.weights["transformer"],
        "decode": one_at_a_time.weights["vae"],
    }

    layer_by_layer = plan(offload="sequential").stages
    assert layer_by_layer["encode"].weight_bytes == 9_000_000 * 2
    assert layer_by_layer["denoise"].weight_bytes == 7_000_000 * 2


def test_the_peak_is_the_stage_that_holds_most() -> None:
    large = plan(width=4096, height=4096)
    assert large.peak_stage in ("denoise", "decode")
    assert large.peak_bytes == large.stages[large.peak_stage].total_bytes
    assert plan(width=64, height=64, offload="model").peak_stage == "denoise"


def test_tiles_and_frames_bound_what_is_decoded_at_once() -> None:
    whole = plan(width=2048, height=2048).stages["decode"].activation_bytes
    tiled = plan(width=2048, height=2048, vae_tiling=True).stages["decode"].activation_bytes
    assert tiled < whole / 8
    assert (
        plan(width=2048, height=2048, vae_parallel=True, num_ranks=2)
        .stages["decode"]
        .activation_bytes
        == tiled
    )
    all_frames = replace(SHAPE, vae=replace(SHAPE.vae, frames_at_once=None))
    clip = {"width": 512, "height": 512, "frames": 81}
    few, many = plan(SHAPE, **clip), plan(all_frames, **clip)
    assert few.stages["decode"].activation_bytes < many.stages["decode"].activation_bytes / 10


def test_a_batch_is_denoised_together_and_decoded_picture_by_picture() -> None:
    one, four = plan().stages, plan(pictures=4).stages
    assert four["encode"] == one["encode"]
    assert four["denoise"].activation_bytes == 4 * one["denoise"].activation_bytes
    more = four["decode"].activation_bytes - one["decode"].activation_bytes
    assert more == 3 * (3 * 512 * 512 * 3) * 2


def test_the_cache_keeps_states_of_every_token() -> None:
    more = plan(cached_states=4).stages["denoise"].activation_bytes
    kept = 4 * (SHAPE.tokens(512, 512, 1) + 100) * 1000 * 2
    assert more - plan().stages["denoise"].activation_bytes == kept


def test_tokens_of_a_picture_a_clip_and_an_edit() -> None:
    assert SHAPE.tokens(1024, 1024, 1) == 64 * 64
    assert SHAPE.tokens(832, 480, 81) == 52 * 30 * 21
    edit = replace(SHAPE, denoiser=replace(SHAPE.denoiser, copies=2))
    assert edit.tokens(1024, 1024, 1) == 2 * 64 * 64
