"""The memory that `dit-serve plan` tells of a rank, against what torch allocates on the card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.tiers import Tier
from tests.gpu.conftest import Tell
from tests.gpu.engines import EMBEDDED, job_of, model_of

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]

SIZE = "1024x1024"
"""Far larger than what the embedded model was trained on, so that activations weigh something."""
ROUNDING = 0.1
"""Of the weights: small tensors take whole blocks of 512 bytes, and buffers come on top."""
WORKSPACE_BYTES = 256 * 2**20
"""For cuBLAS and cuDNN, which the estimate leaves out."""


@pytest.mark.parametrize("offload", ["none", "text_encoder"])
def test_a_rank_holds_what_the_plan_says(tell: Tell, offload: str) -> None:
    import torch

    from deployments.architecture import pipeline_shape
    from deployments.engine import build_engine, engine_spec
    from deployments.planning import largest_run
    from placement.memory import memory_per_rank

    model = model_of(Path(EMBEDDED), SIZE, dtype="bfloat16", offload=offload)
    limits = model.limits.model_copy(update={"max_pixels": 1024 * 1024, "max_side": 1024})
    model = model.model_copy(update={"limits": limits})
    plan = memory_per_rank(pipeline_shape(model.source), largest_run(model, model.pools[0]))
    before = torch.cuda.memory_allocated()
    engine: Any = build_engine(engine_spec(model, model.pools[0]))
    weights = torch.cuda.memory_allocated() - before
    peaks: dict[str, int] = {}
    job = job_of(SIZE, num_inference_steps=8)

    def boundary(done: int, total: int) -> bool:
        if done == total:
            peaks["denoise"] = torch.cuda.max_memory_allocated() - before
            torch.cuda.reset_peak_memory_stats()
        return True

    torch.cuda.reset_peak_memory_stats()
    engine.render(job, Tier.FAST, boundary)
    peaks["decode"] = torch.cuda.max_memory_allocated() - before
    planned = {stage: plan.stages[stage].total_bytes for stage in peaks}
    resident = plan.stages["denoise"].weight_bytes
    tell(
        weights_MB=_mb(weights),
        planned_weights_MB=_mb(resident),
        **{f"{stage}_MB": _mb(peak) for stage, peak in peaks.items()},
        **{f"planned_{stage}_MB": _mb(size) for stage, size in planned.items()},
    )
    assert resident <= weights <= (1 + ROUNDING) * resident
    for stage, peak in peaks.items():
        assert 0.4 * planned[stage] <= peak <= planned[stage] + WORKSPACE_BYTES


def _mb(size: int) -> float:
    return round(size / 1e6, 1)
