"""Bytes that a rank holds, from a pipeline's shape and how it is run.

Weights are counted: they are what `torch` allocates for parameters. Activations are an estimate,
made to be at or above the tensors that are alive at once, which was counted by running the
transformers and autoencoders of FLUX.1, FLUX.2 klein, Qwen-Image, Z-Image, Wan and HunyuanVideo
on torch's meta device at their usual sizes (`tests/engine/test_memory_estimate.py` repeats some).
Not counted: buffers, the CUDA context and NCCL's buffers (about 1 GB), the workspace of
convolutions, and what the allocator cannot use of its blocks. Leave a tenth of the card for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from placement.shapes import BlockLinear, ComponentShape, PipelineShape

Offload = Literal["none", "text_encoder", "model", "sequential"]

_WHOLE_STATES = 4
"""Hidden states that every rank of a tensor-parallel group holds whole: in, out, residual, norm."""
_SPLIT_STATES = 7
"""Those that divide by tp_size: query, key, value, their rotated copies, and what attends."""
_RECEIVED_STATES = 4
"""Buffers of Ulysses' all-to-all, or of the ring: for query, key, value and the result."""
_DECODER_STATES = 5
"""Of the widest tensor at full resolution: input, norm, activation, padded copy and output."""
_VIDEO_COPIES = 3
"""Of the decoded clip: a growing one, its concatenation, and the blend of tiles."""
_BLOCK_SIDE = 128
"""Of the square that shares a scale in float8_per_block."""
_SCALE_BYTES = 4


@dataclass(frozen=True)
class Run:
    """How a pipeline is run on a rank, and the largest thing that is asked of it.

    `quantization` is one of cache-dit's quant types. `sequence_parallel` is ulysses_size times
    ring_size. `cached_states` are the hidden states that the cache keeps from step to step.
    `pictures` are made together; the prompt is encoded once for all of them.
    """

    width: int
    height: int
    frames: int = 1
    pictures: int = 1
    text_tokens: int = 512
    dtype_bytes: int = 2
    quantization: str | None = None
    exclude_layers: Sequence[str] = ()
    num_ranks: int = 1
    tp_size: int = 1
    sequence_parallel: int = 1
    text_encoder_parallel: bool = False
    vae_parallel: bool = False
    vae_tiling: bool = False
    offload: Offload = "none"
    cached_states: int = 0


@dataclass(frozen=True)
class Stage:
    """What the rank holds in one stage of its life, in bytes."""

    weight_bytes: int
    activation_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.weight_bytes + self.activation_bytes


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of a rank: weights by component, and by stage (load, encode, denoise, decode).

    Rank 0 is meant, which decodes; the others hold no more.
    """

    weights: Mapping[str, int]
    stages: Mapping[str, Stage]

    @property
    def weight_bytes(self) -> int:
        """All components together, wherever they are."""
        return sum(self.weights.values())

    @property
    def peak_stage(self) -> str:
        """The stage that holds most."""
        return max(self.stages, key=lambda name: self.stages[name].total_bytes)

    @property
    def peak_bytes(self) -> int:
        return self.stages[self.peak_stage].total_bytes


def memory_per_rank(shape: PipelineShape, run: Run) -> MemoryPlan:
    """The bytes of a rank.

    While it loads, a rank without offload holds all weights whole and unquantized, for it divides
    and quantizes them on its device. Offload `text_encoder` has the text encoders there only while
    they encode; `model` the one component that works; `sequential` the one layer that does.
    """
    weights = {part.name: _component_bytes(part, run) for part in shape.components}
    encoders = {part.name for part in shape.of_kind("text_encoder")}
    denoisers = {part.name for part in shape.of_kind("transformer")}
    working = {"encode": encoders, "denoise": denoisers, "decode": set(weights) - encoders}
    working["decode"] -= denoisers
    activations = {
        "encode": _encode_bytes(shape, run),
        "denoise": _denoise_bytes(shape, run),
        "decode": _decode_bytes(shape, run),
    }
    stages = {}
    if run.offload == "none":
        whole = sum(_plain_bytes(part, part.parameters, run) for part in shape.components)
        stages["load"] = Stage(whole, 0)
    for name, active in working.items():
        match run.offload:
            case "none":
                resident = sum(weights.values())
            case "text_encoder":
                away = set() if name == "encode" else encoders
                resident = sum(size for part, size in weights.items() if part not in away)
            case "model":
                resident = max((weights[part] for part in active), default=0)
            case "sequential":
                layers = (p.largest_layer for p in shape.components if p.name in active)
                resident = max(layers, default=0) * run.dtype_bytes
        stages[name] = Stage(resident, activations[name])
    return MemoryPlan(weights, stages)


def _component_bytes(part: ComponentShape, run: Run) -> int:
    """The weights of a component after it was divided and quantized.

    Tensor parallelism shards the Linear weights of repeated blocks but for those of modulation,
    which some of cache-dit's plans leave whole; a parallel text encoder is sharded over all ranks.
    """
    sharded_by = 1
    if part.kind == "transformer":
        sharded_by = run.tp_size
    elif part.kind == "text_encoder" and part.shards and run.text_encoder_parallel:
        sharded_by = run.num_ranks
    in_blocks = 0
    total = 0
    for linear in part.linears:
        in_blocks += linear.weights
        quantized = part.kind == "transformer" and _quantizes(linear, run)
        size = _quantized_bytes(linear, run) if quantized else linear.weights * run.dtype_bytes
        total += size if linear.modulates else -(-size // sharded_by)
    return total + _plain_bytes(part, part.parameters - in_blocks, run)


def _plain_bytes(part: ComponentShape, parameters: int, run: Run) -> int:
    kept = part.float32_parameters
    return (parameters - kept) * run.dtype_bytes + kept * 4


def _quantizes(linear: BlockLinear, run: Run) -> bool:
    """As cache-dit does: Linear layers of repeated blocks that no excluded name is part of."""
    return run.quantization is not None and not any(
        name in linear.name for name in run.exclude_layers
    )


def _quantized_bytes(linear: BlockLinear, run: Run) -> int:
    """One byte a weight, and float32 scales: one a row, or a tensor, or a square block."""
    quantization = run.quantization or ""
    scales = linear.rows
    if quantization.endswith("per_tensor"):
        scales = 1
    elif quantization.endswith("per_block"):
        scales = -(-linear.rows // _BLOCK_SIDE) * -(-linear.columns // _BLOCK_SIDE)
    return linear.weights + scales * _SCALE_BYTES * linear.count


def _encode_bytes(shape: PipelineShape, run: Run) -> int:
    elements = max((part.token_elements for part in shape.of_kind("text_encoder")), default=0)
    return elements * run.text_tokens * run.dtype_bytes


def _denoise_bytes(shape: PipelineShape, run: Run) -> int:
    """Hidden states that live within one block, and those that the cache keeps.

    Attention is counted as flash attention: without its matrix. A feed-forward layer holds its
    widest tensor twice, before and after the activation.
    """
    denoiser = shape.denoiser
    tokens = shape.tokens(run.width, run.height, run.frames) + run.text_tokens
    mine = -(-tokens // run.sequence_parallel)
    split = _SPLIT_STATES + 2 * denoiser.widest / denoiser.hidden_size
    states = _WHOLE_STATES + split / run.tp_size + run.cached_states
    if run.sequence_parallel > 1:
        states += _RECEIVED_STATES
    return round(run.pictures * states * mine * denoiser.hidden_size * run.dtype_bytes)


def _decode_bytes(shape: PipelineShape, run: Run) -> int:
    """The decoder's widest tensors over the frames of one pass, and the clip itself.

    The pictures of a batch are decoded one by one, and kept.
    """
    vae = shape.vae
    width, height = run.width, run.height
    if run.vae_tiling or run.vae_parallel:
        width, height = min(width, vae.tile_side), min(height, vae.tile_side)
    frames = run.frames if vae.frames_at_once is None else min(run.frames, vae.frames_at_once)
    pass_elements = width * height * (frames + vae.padding_frames) * vae.widest_channels
    clip_elements = run.width * run.height * run.frames * run.pictures * 3
    return (_DECODER_STATES * pass_elements + _VIDEO_COPIES * clip_elements) * run.dtype_bytes
