"""The documented count of operations is torch's own, at full size, for every model measured."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_flops import CallFlops, call_flops
from benchmarks.gpu_names import ARMS
from benchmarks.gpu_workloads import WORKLOADS, Workload

pytestmark = pytest.mark.filterwarnings("ignore")

PERFORMANCE = Path("docs/performance.md").read_text()


def meta_call(workload: Workload, transformer: Any) -> None:
    """One call of the transformer on the meta device, with what its pipeline would give it."""
    import torch

    config = workload.config
    rows, columns = workload.height // 16, workload.width // 16
    n, t = workload.image_tokens, workload.text_tokens

    def tensor(*shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.bfloat16, device="meta")

    text = tensor(1, t, config.get("joint_attention_dim") or config.get("text_dim") or 1)
    if workload.name == "flux":
        transformer(
            tensor(1, n, config["in_channels"]),
            text,
            tensor(1, config["pooled_projection_dim"]),
            tensor(1),
            tensor(n, 3),
            tensor(t, 3),
            tensor(1),
        )
    elif workload.name == "qwen-image":
        transformer(
            tensor(1, n, config["in_channels"]),
            text,
            timestep=tensor(1),
            img_shapes=[[(1, rows, columns)]],
        )
    elif workload.name == "z-image-turbo":
        picture = tensor(config["in_channels"], 1, 2 * rows, 2 * columns)
        transformer([picture], tensor(1), [tensor(t, config["cap_feat_dim"])])
    else:
        frames = n // rows // columns
        clip = tensor(1, config["in_channels"], frames, 2 * rows, 2 * columns)
        transformer(clip, tensor(1), text)


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_the_count_is_that_of_torchs_counter(workload: Workload) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        from benchmarks.gpu_architectures import empty_transformer
    transformer = empty_transformer(workload).to("meta", torch.bfloat16)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        meta_call(workload, transformer)
    assert workload.call_flops.computed == counter.get_total_flops()


def test_a_cached_step_of_flux_is_one_block_of_57_and_what_lies_outside() -> None:
    flops = WORKLOADS["flux"].call_flops
    assert len(flops.blocks) == 57
    assert 1 / 57 < flops.cached(front=1, back=0) / flops.computed < 1.02 / 57


def test_a_cached_call_runs_the_first_and_the_last_blocks() -> None:
    flops = CallFlops(outside=1000, blocks=(1, 20, 300))
    assert flops.computed == 1321
    assert flops.cached(front=1, back=0) == 1001
    assert flops.cached(front=1, back=1) == 1301
    assert flops.cached(front=3, back=0) == flops.computed


def test_an_architecture_without_a_formula_is_refused() -> None:
    with pytest.raises(ValueError, match="no count of operations for SanaTransformer2DModel"):
        call_flops({"_class_name": "SanaTransformer2DModel"}, 1, 1)


def test_the_formulas_and_the_models_need_no_torch() -> None:
    code = "import sys, benchmarks.gpu_workloads; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_the_table_of_models_in_the_documents_is_counted(workload: Workload) -> None:
    flops = workload.call_flops
    cells = (
        workload.name,
        workload.source,
        workload.size,
        ", ".join(map(str, workload.steps)),
        f"{workload.image_tokens:,} + {workload.text_tokens}",
        f"{len(flops.blocks)}",
        f"{workload.calls} x {flops.computed / 1e12:.1f}",
        f"{100 * flops.cached(front=1, back=0) / flops.computed:.2f} %",
    )
    assert f"| {' | '.join(cells)} |" in PERFORMANCE


def test_every_arm_stands_in_the_documents_table_of_a_run() -> None:
    assert all(f"| {arm} |" in PERFORMANCE for arm in ARMS)
