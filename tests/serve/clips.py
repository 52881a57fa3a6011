"""A model that makes clips, for servers under test: a tiny Wan pipeline of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.families import family_folder


def clips_model(folder: Path, **settings: Any) -> dict[str, Any]:
    """Its config; the pipeline is built under `folder`. A step takes about a hundredth second."""
    return {
        "name": "clips",
        "source": str(family_folder("wan2.1", folder)),
        "default_size": "64x64",
        "default_frames": 5,
        "default_fps": 4,
        "default_steps": 8,
        "max_sequence_length": 16,
        "limits": {"max_side": 128, "max_pixels": 16384, "max_steps": 2000, "max_frames": 17},
        "pools": [
            {
                "name": "cpu",
                "device": "cpu",
                "dtype": "float32",
                "cpus_per_rank": 0.5,
                "cache_config": {"Fn_compute_blocks": 1, "steps_computation_policy": "static"},
                "tiers": ["none", "slow", "medium", "fast", "ultra"],
            }
        ],
    } | settings
