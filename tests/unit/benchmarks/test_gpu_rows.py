"""What the GPU benchmark's tables and bars say follows from its runs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.gpu_flops import CallFlops
from benchmarks.gpu_names import ALL_TOGETHER, ARMS, BARE, COMPILED, ArmName, Build, Denoised
from benchmarks.gpu_rows import Bar, Row, Run, Work, bars, rows
from cluster.tiers import Tier

NONE, ULTRA = ArmName(COMPILED, Tier.NONE), ArmName(COMPILED, Tier.ULTRA)
TOGETHER = ArmName(ALL_TOGETHER, Tier.ULTRA)
WORK = Work(calls=2, flops=CallFlops(10**12, (10**12,) * 9), front=1, back=0)
MASK = (1, 0, 0, 1)


def run(arm: ArmName, index: int, *step_s: float, mask: Sequence[int] = (), graphs: int = 0) -> Run:
    denoised = Denoised(step_s, tuple(mask) or (1,) * len(step_s))
    return Run(arm, index, denoised, graphs, working_bytes=100 + index)


def table(runs: Sequence[Run], matmul: Sequence[float] = (100.0, 100.0)) -> dict[ArmName, Row]:
    arms = list(dict.fromkeys(each.arm for each in runs))
    found = rows(runs, WORK, matmul, dict.fromkeys(arms, 3), dict.fromkeys(arms, 7))
    return {row.arm: row for row in found}


def test_rates_count_only_the_operations_that_the_mask_leaves() -> None:
    found = table(
        [
            *(run(BARE, index, 1.0, 1.0, 1.0, 1.0) for index in range(2)),
            *(run(ULTRA, index, 0.5, 0.1, 0.1, 0.5, mask=MASK) for index in range(2)),
        ]
    )
    assert found[BARE].tflops == pytest.approx(2 * 4 * 10 / 4)
    assert found[BARE].matmul_share == pytest.approx(0.2)
    assert found[ULTRA].tflops == pytest.approx(2 * (2 * 10 + 2 * 2) / 1.2)
    assert (found[ULTRA].steps_computed, found[ULTRA].steps_cached) == (2, 2)


def test_a_round_that_is_slow_for_all_arms_changes_no_ratio() -> None:
    found = table(
        [
            run(BARE, 0, 1.0, 1.0, 1.0, 1.0),
            run(ULTRA, 0, 0.4, 0.1, 0.1, 0.4, mask=MASK),
            run(BARE, 1, 9.0, 9.0, 9.0, 9.0),
            run(ULTRA, 1, 3.6, 0.9, 0.9, 3.6, mask=MASK),
        ],
        matmul=(90.0, 10.0),
    )
    assert found[ULTRA].speedup == pytest.approx(4)
    assert found[ULTRA].cached_over_computed == pytest.approx(0.25)
    assert found[BARE].matmul_share == pytest.approx(20 / 90)


def test_what_a_skip_realises_is_held_against_none_of_the_same_build() -> None:
    found = table(
        [
            run(BARE, 0, 9.0, 9.0, 9.0, 9.0),
            run(NONE, 0, 0.9, 0.9, 0.9, 0.9),
            run(ULTRA, 0, 0.9, 0.1, 0.1, 0.9, mask=MASK),
        ],
        matmul=(100.0,),
    )
    ideal = 4 / (2 + 2 / 9)
    assert found[ULTRA].ideal_speedup == pytest.approx(ideal)
    assert found[ULTRA].realised_over_ideal == pytest.approx(3.6 / 2.0 / ideal)
    assert found[NONE].ideal_speedup is None
    assert found[NONE].cached_over_computed is None
    assert found[BARE].realised_over_ideal is None


def test_graphs_of_the_warm_up_and_later_ones_are_told_apart() -> None:
    found = table([run(BARE, 0, 1.0), run(BARE, 1, 1.0, graphs=2)])
    assert (found[BARE].graphs_in_warm_up, found[BARE].graphs_later) == (3, 2)
    assert (found[BARE].weight_bytes, found[BARE].working_bytes) == (7, 101)


def flux_like(together_s: float, cached_s: float) -> list[Row]:
    """One round in which computed steps take 1 s bare, .5 s compiled and .25 s in float8."""
    mask = (1,) * 8 + (0,) * 20
    runs = [
        run(BARE, 0, *[1.0] * 28),
        run(NONE, 0, *[0.5] * 28),
        run(ArmName(ALL_TOGETHER, Tier.NONE), 0, *[together_s] * 28),
        run(ULTRA, 0, *[0.5] * 8, *[cached_s] * 20, mask=mask),
        run(TOGETHER, 0, *[together_s] * 8, *[cached_s] * 20, mask=mask),
    ]
    work = Work(1, CallFlops(0, (10**12,) * 57), 1, 0)
    arms = [each.arm for each in runs]
    return rows(runs, work, [120.0], dict.fromkeys(arms, 0), dict.fromkeys(arms, 0))


def test_the_bars_are_held_by_what_reaches_them() -> None:
    found = bars(flux_like(together_s=0.25, cached_s=0.25 / 57))
    assert len(found) == 6
    assert all(bar.held for bar in found)


def test_the_bars_are_missed_by_what_does_not() -> None:
    found = bars(flux_like(together_s=0.6, cached_s=0.03))
    missed = [(bar.what, bar.arm) for bar in found if not bar.held]
    assert missed == [
        ("speed-up over diffusers", TOGETHER),
        ("cached over computed step", ULTRA),
        ("realised over ideal skip", ULTRA),
        ("cached over computed step", TOGETHER),
        ("realised over ideal skip", TOGETHER),
    ]


def test_there_are_bars_only_for_arms_that_were_measured() -> None:
    assert bars([row for row in flux_like(0.25, 0.004) if row.arm == NONE]) == [
        Bar("share of the measured matmul rate", NONE, pytest.approx(114 / 120), 0.7)
    ]


def test_every_arm_has_a_name_of_its_own() -> None:
    assert len({str(arm) for arm in ARMS}) == len(ARMS)
    assert str(ArmName(Build(compiled=True, float8=True))) == "diffusers + compile + float8"
    assert str(TOGETHER) == "dit-serve ultra + compile + float8"
