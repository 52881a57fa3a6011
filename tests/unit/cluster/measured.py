"""Rows and tables for the tests of measured tiers."""

from __future__ import annotations

from typing import Any

from cluster.config import ModelConfig
from cluster.measured_tiers import MeasuredTier, Platform, TiersTable, measured_pool

PLATFORM = Platform(device="card", versions={"torch": "2.13.0", "cache-dit": "1.5.3"})


def row(tier: str = "fast", **fields: Any) -> MeasuredTier:
    """A tier of the sample config's CPU pool that is twice as fast as `none`, at 40 dB."""
    usual: dict[str, Any] = {
        "model": "shapes",
        "pool": "cpu",
        "tier": tier,
        "width": 128,
        "height": 128,
        "steps": 28,
        "pictures": 12,
        "seconds_p50": 0.2,
        "seconds_p95": 0.25,
        "encode_s": 0.01,
        "denoise_s": 0.18,
        "decode_s": 0.01,
        "steps_computed": 11,
        "steps_cached": 17,
        "speed_up": 2.0,
        "speed_up_q25": fields.get("speed_up", 2.0),
        "speed_up_q75": fields.get("speed_up", 2.0),
        "psnr_db": 40.0,
        "psnr_least_db": 38.0,
        "ssim": 0.99,
    }
    return MeasuredTier.model_validate(usual | fields)


def table_of(model: ModelConfig, *rows: MeasuredTier, **fields: Any) -> TiersTable:
    """A table of the model's first pool."""
    return TiersTable(
        made_at="2026-11-25T12:00:00+00:00",
        platform=PLATFORM,
        pools=(measured_pool(model, model.pools[0]),),
        rows=rows or (row(),),
        **fields,
    )
