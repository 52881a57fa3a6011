"""Reads a diffusers pipeline and puts it where it is to run. Imports no Ray."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import diffusers
import torch
from accelerate import cpu_offload_with_hook
from accelerate.hooks import UserCpuOffloadHook
from diffusers import DiffusionPipeline

from cluster.errors import ConfigError
from deployments.engine import EngineSpec

TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")


def load_pipeline(spec: EngineSpec) -> Any:
    """The pipeline of a spec, on the CPU.

    Safetensors files are mapped into memory, so that the ranks of a node read each from disk once.

    Raises:
        ConfigError: the source is no such pipeline, or its device is not there.
    """
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"model {spec.model}, pool {spec.pool}: device is cuda, "
            f"but torch {torch.__version__} sees no CUDA device here"
        )
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            spec.source,
            dtype=getattr(torch, spec.dtype),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=Path(spec.source).exists(),
        )
    except (OSError, ValueError, RuntimeError, AttributeError, ImportError) as error:
        raise ConfigError(
            f"{spec.source}: cannot be loaded as a diffusers pipeline: "
            f"{' '.join(str(error).split())[:400]}"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    if spec.vae_tiling:
        pipeline.vae.enable_tiling()
    return pipeline


def transformers_of(pipeline: Any, source: str) -> tuple[torch.nn.Module, ...]:
    """The transformers that denoise, in the order in which they do.

    Raises:
        ConfigError: there is none.
    """
    found = tuple(
        module
        for name in ("transformer", "transformer_2")
        if (module := getattr(pipeline, name, None)) is not None
    )
    if not found:
        name = type(pipeline).__name__
        raise ConfigError(f"{source}: {name} has no transformer; only DiT pipelines are served")
    return found


def sibling(pipeline: Any, name: str, spec: EngineSpec) -> Any:
    """The pipeline of that class of diffusers, made of the modules of another; itself if it is one.

    The modules are shared as they are: with their cache, ranks, quantization and offload hooks.
    Its scheduler is its own, since each call leaves its schedule and its place in it there.
    """
    if type(pipeline).__name__ == name:
        return pipeline
    kind = getattr(diffusers, name)
    parts = pipeline.components
    parts |= {"scheduler": type(pipeline.scheduler).from_config(pipeline.scheduler.config)}
    settings = set(inspect.signature(kind).parameters) - set(parts)
    made = kind(**parts, **{setting: pipeline.config[setting] for setting in settings})
    made.set_progress_bar_config(disable=True)
    if spec.offload == "model":
        place(made, spec)
    return made


def place(pipeline: Any, spec: EngineSpec) -> list[UserCpuOffloadHook]:
    """Moves the pipeline to its device, all of it or as `offload` says.

    Returns the hooks of the modules that are to leave the device once the prompt is encoded.

    * `text_encoder`: text encoders come to the device to encode and leave it afterwards;
    * `model`: each module comes to the device for its own work (accelerate's hooks);
    * `sequential`: each layer does (likewise).
    """
    if spec.offload == "model":
        pipeline.enable_model_cpu_offload(device=spec.device)
    elif spec.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=spec.device)
    elif spec.offload == "text_encoder":
        pipeline.to(spec.device)
        encoders = [getattr(pipeline, name, None) for name in TEXT_ENCODERS]
        return [
            cpu_offload_with_hook(encoder.to("cpu"), torch.device(spec.device))[1]
            for encoder in encoders
            if encoder is not None
        ]
    else:
        pipeline.to(spec.device)
    return []
