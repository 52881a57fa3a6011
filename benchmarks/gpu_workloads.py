"""The models and requests that `benchmarks.gpu_tiers` measures. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.gpu_flops import CallFlops, call_flops
from deployments.architecture_files import architecture_folder

_PATCH = 16
"""Pixels a side of a token: the autoencoders shrink by 8, the transformers take 2 x 2 of that."""
_FRAMES = 4
"""Frames that Wan's autoencoder makes one of, after the first."""


@dataclass(frozen=True)
class Workload:
    """One model, and the request that is made of it.

    `pipeline` and `scheduler` are diffusers' classes, `schedule` the settings of the latter.
    `calls` are the transformer's calls a step: two where guidance makes a second one, whose text
    has as many tokens as the first one's. `steps` are those that are measured unless others are
    asked for. `small` is what takes the place of the config's own numbers in a small run.
    """

    name: str
    source: str
    pipeline: str
    scheduler: str
    schedule: Mapping[str, Any]
    steps: tuple[int, ...]
    text_tokens: int
    arguments: Mapping[str, Any]
    small: Mapping[str, Any]
    width: int = 1024
    height: int = 1024
    frames: int | None = None
    calls: int = 1
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        """The transformer's config."""
        file = architecture_folder(self.source) / "transformer" / "config.json"
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found | dict(self.overrides)

    @property
    def image_tokens(self) -> int:
        """Tokens of the picture or clip."""
        frames = 1 if self.frames is None else (self.frames - 1) // _FRAMES + 1
        return frames * (self.height // _PATCH) * (self.width // _PATCH)

    @property
    def size(self) -> str:
        """Width x height, and frames where there are some."""
        return f"{self.width}x{self.height}" + (f"x{self.frames}" if self.frames else "")

    @property
    def call_flops(self) -> CallFlops:
        """The operations of one call of the transformer."""
        return call_flops(self.config, self.image_tokens, self.text_tokens)

    def shrunk(self) -> Workload:
        """The same at a size that a CPU can do: narrower, with fewer blocks, few tokens."""
        return replace(
            self,
            width=128,
            height=128,
            frames=None if self.frames is None else 5,
            text_tokens=32,
            overrides=self.small,
        )


_SHIFTED = {"use_dynamic_shifting": True}

WORKLOADS: Mapping[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload(
            name="flux",
            source="black-forest-labs/FLUX.1-dev",
            pipeline="FluxPipeline",
            scheduler="FlowMatchEulerDiscreteScheduler",
            schedule=_SHIFTED,
            steps=(28, 50),
            text_tokens=512,
            arguments={"guidance_scale": 3.5},
            small={
                "num_layers": 4,
                "num_single_layers": 8,
                "num_attention_heads": 6,
                "attention_head_dim": 32,
                "joint_attention_dim": 128,
                "pooled_projection_dim": 64,
                "axes_dims_rope": [8, 12, 12],
            },
        ),
        Workload(
            name="qwen-image",
            source="Qwen/Qwen-Image",
            pipeline="QwenImagePipeline",
            scheduler="FlowMatchEulerDiscreteScheduler",
            schedule=_SHIFTED,
            steps=(50,),
            text_tokens=128,
            arguments={"true_cfg_scale": 4.0},
            small={
                "num_layers": 12,
                "num_attention_heads": 6,
                "attention_head_dim": 32,
                "joint_attention_dim": 128,
                "axes_dims_rope": [8, 12, 12],
            },
            width=1328,
            height=1328,
            calls=2,
        ),
        Workload(
            name="z-image-turbo",
            source="Tongyi-MAI/Z-Image-Turbo",
            pipeline="ZImagePipeline",
            scheduler="FlowMatchEulerDiscreteScheduler",
            schedule={"shift": 3.0},
            steps=(9,),
            text_tokens=128,
            arguments={"guidance_scale": 0.0},
            small={
                "dim": 192,
                "n_layers": 12,
                "n_heads": 6,
                "n_kv_heads": 6,
                "cap_feat_dim": 128,
                "axes_dims": [8, 12, 12],
            },
        ),
        Workload(
            name="wan-1.3b",
            source="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
            pipeline="WanPipeline",
            scheduler="UniPCMultistepScheduler",
            schedule={
                "prediction_type": "flow_prediction",
                "use_flow_sigmas": True,
                "flow_shift": 3.0,
            },
            steps=(50,),
            text_tokens=512,
            arguments={"guidance_scale": 5.0},
            small={
                "num_layers": 12,
                "num_attention_heads": 6,
                "attention_head_dim": 32,
                "ffn_dim": 512,
                "text_dim": 128,
            },
            width=832,
            height=480,
            frames=81,
            calls=2,
        ),
    )
}
"""By the name that `--models` takes, at the sizes and steps of the models' own documentation."""
