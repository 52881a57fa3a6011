"""A router's metrics with everything in them, without a router."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.metrics_core import Metric

from cluster.config import ModelConfig
from cluster.pool_load import PoolLoad
from cluster.receipt import Receipt
from deployments.engine import DeviceMemory, EngineResult
from deployments.metrics import RouterMetrics

MODEL = ModelConfig.model_validate(
    {
        "name": "shapes",
        "source": "somewhere",
        "max_queued": 50,
        "max_backlog_s": 90.0,
        "pools": [
            {
                "name": "p",
                "num_ranks": 2,
                "parallelism_config": {"ulysses_size": 2},
                "audit_fraction": 0.25,
                "autoscaling": {"min_replicas": 1, "max_replicas": 3},
                "tiers": {"none": {}, "medium": {"min_psnr_db": 40.0, "min_speedup": 1.5}},
            }
        ],
    }
)

RESULT = EngineResult((), 9, 19, (), 0.1, 2.0, 0.3, memory=DeviceMemory(3_000, 8_000))

RECEIPT = Receipt(
    request_id="r",
    model="shapes",
    pool="p",
    tier_requested="auto",
    tier_served="medium",
    tier_reason="",
    num_inference_steps=28,
    steps_computed=9,
    steps_cached=19,
    seed=1,
    n=1,
    width=64,
    height=64,
    parallelism="ulysses2",
    quantization=None,
    forecast_s=2.0,
    queue_s=1.0,
    encode_s=0.1,
    denoise_s=2.0,
    decode_s=0.3,
    total_s=3.5,
    deadline_met=True,
    attempts=1,
    config_hash="",
)


def metrics_of_everything() -> Sequence[Metric]:
    """Every metric, with at least one series."""
    metrics = RouterMetrics(MODEL)
    metrics.served(RECEIPT, RESULT)
    metrics.audited("p", "medium", psnr_db=35.0, speedup=1.2)
    return metrics.now(2, {"p": PoolLoad(idle=1, busy=2, backlog_s=7.5)})
