"""The sample config of these tests: one model, two pools that serve the five tiers between them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from cluster.config import ClusterConfig, ModelConfig

ARGS = """
models:
  - name: shapes
    source: demo/weights
    default_tier: medium
    default_size: 128x128
    default_steps: 20
    limits: {max_side: 256, max_pixels: 32768, max_prompt_chars: 100, max_steps: 50, max_images: 4}
    pools:
      - name: cpu
        device: cpu
        dtype: float32
        tiers: [none, slow, medium, fast]
        num_ranks: 1
        parallelism_config: {ulysses_size: auto}
        cache_config: {Fn_compute_blocks: 1, residual_diff_threshold: 0.12, enable_taylorseer: true}
        attention_backend: native
        compile: false
        autoscaling: {min_replicas: 1, max_replicas: 4}
      - name: cuda
        device: cuda
        tiers:
          ultra: {enable_taylorseer: false}
          medium: {cache_config: {residual_diff_threshold: 0.2}}
        cache_config: {Fn_compute_blocks: 1, enable_taylorseer: true}
        quantize_config: {quant_type: float8, exclude_layers: [embedder, embed]}
"""


@pytest.fixture
def args() -> dict[str, Any]:
    """What stands under `applications[].args`; a test may change its copy."""
    return yaml.safe_load(ARGS)


@pytest.fixture
def config(args: dict[str, Any]) -> ClusterConfig:
    return ClusterConfig.model_validate(args)


@pytest.fixture
def model(config: ClusterConfig) -> ModelConfig:
    return config.models[0]
