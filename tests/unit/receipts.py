"""A receipt for tests of what is answered."""

from __future__ import annotations

from typing import Any

from cluster.receipt import Receipt


def receipt(**facts: Any) -> Receipt:
    """Of a picture of 64 by 32 in eight steps."""
    usual: dict[str, Any] = {
        "request_id": "img_1",
        "model": "shapes",
        "pool": "cpu",
        "tier_requested": "auto",
        "tier_served": "fast",
        "tier_reason": "the best in time",
        "num_inference_steps": 8,
        "steps_computed": 5,
        "steps_cached": 3,
        "seed": 7,
        "n": 1,
        "width": 64,
        "height": 32,
        "parallelism": "1 rank",
        "quantization": None,
        "forecast_s": 0.5,
        "queue_s": 0.1,
        "encode_s": 0.1,
        "denoise_s": 0.2,
        "decode_s": 0.1,
        "total_s": 0.5,
        "deadline_met": None,
        "attempts": 1,
        "config_hash": "abc",
    }
    return Receipt(**usual | facts)
