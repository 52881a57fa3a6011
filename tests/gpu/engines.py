"""Engines of one rank, from a config as a user would write it, and what they draw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster.config import ClusterConfig, ModelConfig, parse_size
from cluster.job import Job
from cluster.tiers import Tier
from deployments.engine import EngineResult, EngineSpec, World, build_engine, engine_spec

DEVICE = "cuda"
EMBEDDED = Path("demo/weights")
PROMPT = "a red circle left of a blue square on a white background"
STEPS = 28
TOLERANCE = 5e-6
"""What ranks may differ by from one process, in float32; so may the modes of offload."""


@dataclass(frozen=True)
class Drawn:
    """The values of a picture, 0 to 1, height x width x 3, and what making it took."""

    values: npt.NDArray[np.floating]
    result: EngineResult


def model_of(source: Path, size: str = "128x128", **pool: Any) -> ModelConfig:
    """A model with one pool of one rank; float32 and static masks unless `pool` says otherwise."""
    settings = {
        "name": "one",
        "device": DEVICE,
        "dtype": "float32",
        "cache_config": {"Fn_compute_blocks": 1, "steps_computation_policy": "static"},
    }
    model = {
        "name": "check",
        "source": str(source),
        "default_size": size,
        "max_sequence_length": 20,
        "pools": [settings | pool],
    }
    return ClusterConfig.model_validate({"models": [model]}).models[0]


def spec_of(source: Path, size: str = "128x128", **pool: Any) -> EngineSpec:
    model = model_of(source, size, **pool)
    return engine_spec(model, model.pools[0])


def engine_of(source: Path, size: str = "128x128", **pool: Any) -> Any:
    """The engine of such a pool, on the device."""
    return build_engine(spec_of(source, size, **pool))


def engine_in(world: World, store: Any, source: Path, **pool: Any) -> Any:
    """The same as the only rank of a world."""
    return build_engine(spec_of(source, **pool), world, store)


def job_of(size: str = "128x128", **fields: Any) -> Job:
    width, height = parse_size(size)
    settled: dict[str, Any] = {"num_inference_steps": STEPS, "seed": 3}
    return Job("check", "check", PROMPT, 1, width, height, "none", None, **settled | fields)


def draw(engine: Any, tier: Tier = Tier.NONE, job: Job | None = None) -> Drawn:
    values, result = engine.render(job or job_of(), tier, lambda done, total: True)
    return Drawn(values[0], result)


def difference(picture: Drawn, reference: Drawn) -> float:
    """The largest difference of a value."""
    return float(np.abs(picture.values - reference.values).max())


def psnr_db(picture: Drawn, reference: Drawn) -> float:
    """Peak signal-to-noise ratio of values, unrounded; infinite for equal ones."""
    error = float(np.square(picture.values - reference.values, dtype=np.float64).mean())
    return math.inf if error == 0 else -10 * math.log10(error)
