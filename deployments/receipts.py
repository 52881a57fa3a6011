"""What is told of a finished job: its receipt to the caller, its seconds to the cost model."""

from __future__ import annotations

from cluster.config import ModelConfig
from cluster.cost import Measured
from cluster.receipt import Receipt
from cluster.routing import Dispatch
from deployments.engine import EngineResult
from deployments.replica import Done
from deployments.served import Served


def served_job(
    model: ModelConfig, dispatch: Dispatch, done: Done, *, sent_s: float, now_s: float
) -> Served:
    """What is answered for a job that was sent at `sent_s` and is done at `now_s`."""
    receipt = _receipt(model, dispatch, done, sent_s, now_s)
    return Served(receipt, done.images, done.result.stored)


def _receipt(
    model: ModelConfig, dispatch: Dispatch, done: Done, sent_s: float, now_s: float
) -> Receipt:
    result = done.result
    waiting, job = dispatch.waiting, dispatch.waiting.job
    pool = model.pool_named(dispatch.pool)
    total_s = now_s - waiting.arrived_s
    return Receipt(
        request_id=job.request_id,
        model=job.model,
        pool=dispatch.pool,
        tier_requested=job.tier_requested,
        tier_served=dispatch.tier,
        tier_reason=dispatch.reason,
        num_inference_steps=job.num_inference_steps,
        steps_computed=result.steps_computed,
        steps_cached=result.steps_cached,
        seed=job.seed,
        n=job.n,
        width=job.width,
        height=job.height,
        parallelism=pool.dims.label,
        quantization=pool.quantize_config.quant_type if pool.quantize_config else None,
        forecast_s=dispatch.forecast.p50_s if dispatch.forecast.measured else None,
        queue_s=sent_s - waiting.arrived_s,
        encode_s=result.encode_s,
        denoise_s=result.denoise_s,
        decode_s=result.decode_s,
        total_s=total_s,
        deadline_met=None if job.deadline_s is None else total_s <= job.deadline_s,
        attempts=job.attempt + waiting.attempts,
        config_hash=done.config_hash,
        notes=result.notes,
    )


def measured(result: EngineResult, busy_s: float) -> Measured:
    """What a job took that kept its replica busy for `busy_s`."""
    return Measured(
        encode_s=result.encode_s,
        denoise_s=result.denoise_s,
        decode_s=result.decode_s,
        steps_computed=result.steps_computed,
        steps_cached=result.steps_cached,
        handover_s=max(0.0, busy_s - result.engine_s),
    )
