"""The memory that `dit-serve plan` tells of a rank, against what torch allocates on the card."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.tiers import Tier
from tests.gpu.conftest import Tell
from tests.gpu.engines import DEVICE, EMBEDDED, job_of, model_of

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]

SIZE = "2048x2048"
"""Far larger than what the embedded model was trained on, so that activations weigh something."""
ROUNDING = 0.1
"""Of the weights: small tensors take whole blocks of 512 bytes, and buffers come on top."""
SHARE_MIN = 0.4
"""Of the estimate: it is made to be at or above what is alive, in any tier."""
EXCESS = 0.25
WORKSPACE_BYTES = 64 * 2**20
"""For cuBLAS and cuDNN, which the estimate leaves out; so is the excess."""


@pytest.mark.parametrize("offload", ["none", "text_encoder"])
def test_a_rank_holds_what_the_plan_says(tell: Tell, offload: str) -> None:
    import torch

    from deployments.architecture import pipeline_shape
    from deployments.engine import build_engine, engine_spec
    from deployments.planning import largest_run
    from placement.memory import memory_per_rank

    _have_workspace()
    model = model_of(EMBEDDED, SIZE, dtype="bfloat16", offload=offload)
    plan = memory_per_rank(pipeline_shape(model.source), largest_run(model, model.pools[0]))
    before = torch.cuda.memory_allocated()
    engine: Any = build_engine(engine_spec(model, model.pools[0]))
    weights = torch.cuda.memory_allocated() - before
    peaks: dict[str, int] = {}

    def boundary(done: int, total: int) -> bool:
        if done == total:
            peaks["denoise"] = torch.cuda.max_memory_allocated() - before
            torch.cuda.reset_peak_memory_stats()
        return True

    torch.cuda.reset_peak_memory_stats()
    engine.render(job_of(SIZE, num_inference_steps=8), Tier.FAST, boundary)
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
        most = (1 + EXCESS) * planned[stage] + WORKSPACE_BYTES
        assert SHARE_MIN * planned[stage] <= peak <= most, stage


def _have_workspace() -> None:
    """Lets cuBLAS allocate what it keeps, so that it is not taken for the engine's."""
    import torch

    square = torch.ones(128, 128, device=DEVICE, dtype=torch.bfloat16)
    torch.mm(square, square)
    torch.nn.functional.linear(square, square, square[0])


def _mb(size: int) -> float:
    return round(size / 1e6, 1)
