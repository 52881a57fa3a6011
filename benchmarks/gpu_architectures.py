"""Transformers of real architecture with random weights, and pipelines around them.

A transformer is built from its config and filled on the device. Text encoders and autoencoders are
left out: the pipeline gets embeddings drawn at random and hands its latents back, so that what runs
is diffusers' own denoise stage, with its scheduler and guidance.
"""

from __future__ import annotations

from typing import Any

import diffusers
import torch
from accelerate import init_empty_weights

from benchmarks.gpu_workloads import Workload

_WEIGHTS_SEED = 0
_TEXT_SEED = 1


def empty_transformer(workload: Workload) -> Any:
    """The transformer with parameters on the meta device; small tables are real, on the CPU."""
    config = workload.config
    cls: Any = getattr(diffusers, config["_class_name"])
    with init_empty_weights(include_buffers=False):
        transformer = cls.from_config(config)
    return transformer.eval().requires_grad_(False)


def random_transformer(workload: Workload, device: str) -> Any:
    """The transformer on the device, in bfloat16 but for what diffusers keeps in float32.

    Matrices are normal and keep a variance of one, gains are one and shifts zero: values stay as
    large as a trained model's, which a card's clock under load depends on.
    """
    transformer = empty_transformer(workload)
    kept = set(transformer._keep_in_fp32_modules or ())
    generator = torch.Generator(device).manual_seed(_WEIGHTS_SEED)
    weights = {}
    for path, parameter in transformer.named_parameters():
        dtype = torch.bfloat16 if kept.isdisjoint(path.split(".")) else torch.float32
        weight = torch.empty(parameter.shape, dtype=dtype, device=device)
        if parameter.ndim > 1:
            weight.normal_(std=parameter[0].numel() ** -0.5, generator=generator)
        else:
            weight.fill_(float(path.endswith("weight")))
        weights[path] = weight
    transformer.load_state_dict(weights, strict=False, assign=True)
    return transformer.to(device)


def twin(workload: Workload, transformer: Any, device: str) -> Any:
    """Another module with the same weights, not a copy of them.

    Layers that are quantized in one keep the weights that they had in the other.
    """
    other = empty_transformer(workload)
    other.load_state_dict(transformer.state_dict(), assign=True)
    return other.to(device)


def pipeline_around(workload: Workload, transformer: Any) -> Any:
    """A diffusers pipeline that has this transformer and a scheduler, and nothing else."""
    cls: Any = getattr(diffusers, workload.pipeline)
    scheduler = getattr(diffusers, workload.scheduler)(**workload.schedule)
    required, _ = cls._get_signature_keys(cls)
    parts: dict[str, Any] = dict.fromkeys(required)
    pipeline = cls(**parts | {"transformer": transformer, "scheduler": scheduler})
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def embeddings(workload: Workload, device: str) -> dict[str, Any]:
    """The arguments of the pipeline that stand for a prompt: normal values, always the same.

    One prompt of `text_tokens` tokens, and a negative one where guidance makes a second call.
    """
    config = workload.config
    generator = torch.Generator(device).manual_seed(_TEXT_SEED)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.bfloat16, device=device, generator=generator)

    tokens = workload.text_tokens
    if workload.pipeline == "ZImagePipeline":
        return {"prompt_embeds": [drawn(tokens, config["cap_feat_dim"])]}
    width = config.get("joint_attention_dim") or config["text_dim"]
    found = {"prompt_embeds": drawn(1, tokens, width)}
    if workload.calls == 2:
        found["negative_prompt_embeds"] = drawn(1, tokens, width)
    if workload.pipeline == "QwenImagePipeline":
        every = torch.ones(1, tokens, dtype=torch.long, device=device)
        found |= {"prompt_embeds_mask": every, "negative_prompt_embeds_mask": every}
    if "pooled_projection_dim" in config:
        found["pooled_prompt_embeds"] = drawn(1, config["pooled_projection_dim"])
    return found
