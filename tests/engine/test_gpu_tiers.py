"""The GPU benchmark at small size on CPU: what it would measure on a card is what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_arms import build_all
from benchmarks.gpu_names import BARE, ArmName, Build
from benchmarks.gpu_rows import Work
from benchmarks.gpu_runs import Plan, measure
from benchmarks.gpu_tiers import main
from benchmarks.gpu_workloads import WORKLOADS, Workload
from cluster.tiers import Tier

pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = {name: workload.shrunk() for name, workload in WORKLOADS.items()}
CACHED = ArmName(Build(served=True), Tier.ULTRA)
FLOAT8 = Build(served=True, float8=True)
STEPS = 9


@pytest.mark.parametrize("workload", SMALL.values(), ids=SMALL)
def test_a_tier_does_the_operations_that_are_counted_for_its_mask(workload: Workload) -> None:
    builds = build_all(workload, [BARE.build, CACHED.build], "cpu", None)
    for arm, steps_computed in ((BARE, STEPS), (CACHED, 5)):
        # torch's counter does not know the attention that it takes on CPU otherwise.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            denoised = builds.denoisers[arm.build].denoise(STEPS, arm.tier)
        work = Work(workload.calls, workload.call_flops, front=1, back=0)
        assert sum(denoised.mask) == steps_computed
        assert len(denoised.step_s) == STEPS
        assert work.of(denoised.mask) == counter.get_total_flops()


def test_builds_share_their_weights_and_float8_is_one_copy() -> None:
    bare_float8 = Build(float8=True)
    builds = build_all(SMALL["flux"], [BARE.build, CACHED.build, bare_float8, FLOAT8], "cpu", None)

    def weight(build: Build) -> torch.Tensor:
        return builds.denoisers[build].transformer.transformer_blocks[0].attn.to_q.weight

    assert weight(BARE.build).data_ptr() == weight(CACHED.build).data_ptr()
    assert weight(bare_float8) is weight(FLOAT8)
    assert weight(FLOAT8).dtype == weight(BARE.build).dtype == torch.bfloat16
    assert type(weight(BARE.build).data) is torch.Tensor
    assert type(weight(FLOAT8).data) is not torch.Tensor


def test_nothing_of_a_model_is_left_when_the_next_one_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[weakref.ref[torch.Tensor]] = []

    def noted(*arguments: object) -> object:
        builds = build_all(*arguments)  # type: ignore[arg-type]
        for denoiser in builds.denoisers.values():
            made.extend(weakref.ref(each) for each in denoiser.transformer.parameters())
        return builds

    monkeypatch.setattr("benchmarks.gpu_runs.build_all", noted)
    plan = Plan("cpu", True, 1, (STEPS,), (BARE, CACHED), None, None, lambda line: None)
    for measurement in measure(SMALL["flux"], plan):
        assert [row.arm for row in measurement.rows] == [BARE, CACHED]
    assert len(made) > 100
    assert not [reference for reference in made if reference() is not None]


def test_it_runs_without_ray_and_says_what_its_tables_are(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from benchmarks.gpu_tiers import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    out = tmp_path / "small.json"
    arguments = ["--small", "--device", "cpu", "--models", "flux", "--steps", str(STEPS)]
    arguments += ["--rounds", "1", "--arms", "dit-serve none", "dit-serve ultra"]
    arguments += ["--trace", str(tmp_path), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    (measurement,) = found["measurements"]
    assert [row["arm"] for row in measurement["rows"]] == [
        "diffusers",
        "dit-serve none",
        "dit-serve ultra",
    ]
    assert measurement["bars"] == []
    assert measurement["rows"][2]["realised_over_ideal"] > 0
    assert "random" in found["notes"][0]
    assert (tmp_path / "flux-9-diffusers.json.gz").exists()
    table = out.with_suffix(".md").read_text()
    assert "random weights" in table
    assert "Small sizes" in table
    assert "| aten::addmm |" in table


def test_a_class_that_float8_is_not_for_is_named_and_its_arms_left_out() -> None:
    builds = build_all(SMALL["wan-1.3b"], [BARE.build, FLOAT8], "cpu", None)
    assert list(builds.denoisers) == [BARE.build]
    assert "linear layers with weight dtype of bfloat16" in builds.left_out[FLOAT8]


def test_a_model_of_real_size_is_refused_on_a_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--device", "cpu", "--out", str(tmp_path / "no.json")]) == 2
    assert "there is --small" in capsys.readouterr().err
