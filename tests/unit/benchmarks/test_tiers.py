"""The arithmetic behind `benchmarks.tiers`: what its table says follows from its runs."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from collections.abc import Callable

import pytest
from PIL import Image

from benchmarks.measures import (
    Spread,
    ideal_speedup,
    median_of_ratios,
    psnr_db,
    ratio_of_medians,
    shuffled_rounds,
    spread,
)
from benchmarks.over_http import HttpCall, http_summary
from benchmarks.runs import BARE, ArmName, Making, Row, Run, measure, summarise
from cluster.job import Job

CACHE_DIT = ArmName("cache-dit", "fast", "static")
STATIC = ArmName("engine", "fast", "static")
STATIC_NONE = ArmName("engine", "none", "static")
CONFIG = ArmName("engine", "fast", "config")
SHARES = {"fast": 1, "none": 1}


def _png(colour: tuple[int, int, int], size: tuple[int, int] = (4, 4)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def _job(seed: int) -> Job:
    return Job("id", "shapes", "a red circle", 1, 128, 128, "auto", None, 28, seed)


def _run(arm: ArmName, round: int, denoise_s: float, computed: int = 28, steps: int = 28) -> Run:
    return Run(
        arm=arm,
        steps=steps,
        round=round,
        encode_s=0.1,
        denoise_s=denoise_s,
        decode_s=0.1,
        whole_s=denoise_s + 0.2,
        steps_computed=computed,
        steps_cached=steps - computed,
        psnr_db=math.inf if arm == BARE else 40.0,
        identical=arm == BARE,
    )


def _rows(runs: list[Run]) -> dict[ArmName, Row]:
    return {row.arm: row for row in summarise(runs, SHARES, blocks=12)}


class TestIdealSpeedup:
    def test_it_is_the_issues_formula(self) -> None:
        assert ideal_speedup(8, 20, blocks_when_cached=1, blocks=12) == pytest.approx(
            28 / (8 + 20 / 12)
        )

    def test_nothing_cached_gains_nothing(self) -> None:
        assert ideal_speedup(28, 0, blocks_when_cached=1, blocks=12) == 1

    def test_a_cached_step_that_runs_every_block_gains_nothing(self) -> None:
        assert ideal_speedup(8, 20, blocks_when_cached=12, blocks=12) == 1

    @pytest.mark.parametrize(("when_cached", "blocks"), [(13, 12), (-1, 12), (0, 0)])
    def test_blocks_that_cannot_be_are_refused(self, when_cached: int, blocks: int) -> None:
        with pytest.raises(ValueError, match="blocks"):
            ideal_speedup(8, 20, blocks_when_cached=when_cached, blocks=blocks)

    def test_no_steps_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one step"):
            ideal_speedup(0, 0, blocks_when_cached=1, blocks=12)


class TestSpread:
    def test_quartiles_lie_between_the_values(self) -> None:
        assert spread([4.0, 1.0, 2.0, 3.0]) == Spread(median=2.5, q25=1.75, q75=3.25)

    def test_one_value_is_its_own_spread(self) -> None:
        assert spread([2.0]) == Spread(2.0, 2.0, 2.0)

    def test_no_value_has_no_spread(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            spread([])


class TestRatios:
    def test_a_slow_round_cancels_in_the_ratios_and_not_in_the_medians(self) -> None:
        bare, arm = [1.0, 10.0, 10.0], [0.5, 5.0, 0.5]
        assert median_of_ratios(bare, arm) == 2.0
        assert ratio_of_medians(bare, arm) == 20.0

    def test_rounds_must_pair_up(self) -> None:
        with pytest.raises(ValueError, match="zip"):
            median_of_ratios([1.0, 2.0], [1.0])


class TestPsnr:
    def test_equal_pictures_differ_by_nothing(self) -> None:
        assert psnr_db(_png((1, 2, 3)), _png((1, 2, 3))) == math.inf

    def test_black_against_white_is_zero(self) -> None:
        assert psnr_db(_png((0, 0, 0)), _png((255, 255, 255))) == pytest.approx(0.0)

    def test_one_level_everywhere_is_48_db(self) -> None:
        assert psnr_db(_png((10, 10, 10)), _png((11, 11, 11))) == pytest.approx(48.13, abs=0.01)

    def test_other_sizes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="different sizes"):
            psnr_db(_png((0, 0, 0)), _png((0, 0, 0), size=(8, 8)))


class TestShuffledRounds:
    def test_every_round_has_every_arm_once(self) -> None:
        assert all(sorted(order) == [1, 2, 3] for order in shuffled_rounds([1, 2, 3], 9, seed=0))

    def test_the_seed_alone_decides_the_order(self) -> None:
        arms = list(range(10))
        first = list(shuffled_rounds(arms, 4, seed=7))
        assert first == list(shuffled_rounds(arms, 4, seed=7))
        assert first != list(shuffled_rounds(arms, 4, seed=8))
        assert first[0] != first[1]


class TestMeasure:
    def test_each_round_has_its_own_job_and_its_own_reference(self) -> None:
        asked: list[tuple[str, int]] = []
        arms = {
            BARE: _Painter("bare", asked, lambda seed: (seed, seed, seed)),
            STATIC: _Painter("ours", asked, lambda seed: (seed, seed, seed + seed % 2)),
        }
        ticks: list[None] = []
        runs = measure(arms, [_job(10), _job(11)], 0, lambda: ticks.append(None))
        assert sorted(asked[:2]) == [("bare", 10), ("ours", 10)], "one warm-up each"
        assert sorted(asked[2:]) == [("bare", 10), ("bare", 11), ("ours", 10), ("ours", 11)]
        assert len(ticks) == 6
        assert [(run.arm, run.round) for run in runs] == [
            (BARE, 0),
            (STATIC, 0),
            (BARE, 1),
            (STATIC, 1),
        ]
        assert [run.identical for run in runs] == [True, True, True, False]
        assert runs[3].psnr_db < 60


class TestSummarise:
    def test_a_static_arm_is_held_against_its_ideal(self) -> None:
        runs = [_run(BARE, 0, 1.0), _run(STATIC, 0, 0.5, computed=11)]
        row = _rows(runs)[STATIC]
        ideal = 28 / (11 + 17 / 12)
        assert row.denoise_speedup == 2.0
        assert row.whole_speedup == pytest.approx(1.2 / 0.7)
        assert row.ideal_speedup == pytest.approx(ideal)
        assert row.realised_over_ideal == pytest.approx(2.0 / ideal)
        assert row.meets_bar is False
        assert (row.steps_computed, row.steps_cached) == (11, 17)

    def test_the_bar_is_met_at_nine_tenths(self) -> None:
        ideal = ideal_speedup(11, 17, blocks_when_cached=1, blocks=12)
        for share, met in ((0.91, True), (0.89, False)):
            runs = [_run(BARE, 0, 1.0), _run(STATIC, 0, 1 / (share * ideal), computed=11)]
            assert _rows(runs)[STATIC].meets_bar is met

    def test_only_static_arms_have_an_ideal(self) -> None:
        rows = _rows([_run(BARE, 0, 1.0), _run(CONFIG, 0, 0.5, computed=15)])
        for arm in (BARE, CONFIG):
            assert rows[arm].ideal_speedup is None
            assert rows[arm].realised_over_ideal is None
            assert rows[arm].meets_bar is None

    def test_rounds_are_paired_whatever_the_order_of_the_runs(self) -> None:
        runs = [
            _run(STATIC, 1, 5.0, computed=11),
            _run(BARE, 0, 1.0),
            _run(STATIC, 0, 0.5, computed=11),
            _run(BARE, 1, 10.0),
        ]
        assert _rows(runs)[STATIC].denoise_speedup == 2.0

    def test_numbers_of_steps_are_kept_apart(self) -> None:
        runs = [
            _run(BARE, 0, 1.0),
            _run(STATIC, 0, 0.5, computed=11),
            _run(BARE, 0, 3.0, computed=50, steps=50),
            _run(STATIC, 0, 1.0, computed=20, steps=50),
        ]
        rows = summarise(runs, SHARES, blocks=12)
        assert [(row.steps, row.denoise_speedup) for row in rows] == [
            (28, 1.0),
            (28, 2.0),
            (50, 1.0),
            (50, 3.0),
        ]

    def test_the_engine_is_held_against_cache_dit_and_against_its_own_none(self) -> None:
        runs = [
            _run(BARE, 0, 1.0),
            _run(CACHE_DIT, 0, 0.6, computed=11),
            _run(STATIC_NONE, 0, 0.8),
            _run(STATIC, 0, 0.5, computed=11),
        ]
        rows = _rows(runs)
        ideal = 28 / (11 + 17 / 12)
        assert rows[STATIC].over_cache_dit == pytest.approx(1.2)
        assert rows[STATIC].own_none_over_ideal == pytest.approx(1.6 / ideal)
        assert rows[CACHE_DIT].over_cache_dit is None
        assert rows[CACHE_DIT].own_none_over_ideal is None, "cache-dit's own none was not run"


class TestHttp:
    @pytest.mark.parametrize(("client_s", "met"), [(0.54, True), (0.56, False)])
    def test_the_bar_is_one_tenth_above_the_engine(self, client_s: float, met: bool) -> None:
        calls = [HttpCall(client_s, 0.5, 0.0, 0.51, "hash"), HttpCall(client_s, 0.5, 0, 0.51, "")]
        assert http_summary(calls)["meets_bar"] is met
        assert http_summary(calls)["ratio"]["median"] == pytest.approx(client_s / 0.5)


def test_help_and_the_arithmetic_need_no_torch() -> None:
    code = "import sys, benchmarks.tiers, benchmarks.runs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class _Painter:
    """An arm that paints a plain colour and notes what it was asked."""

    def __init__(
        self,
        name: str,
        asked: list[tuple[str, int]],
        colour: Callable[[int], tuple[int, int, int]],
    ) -> None:
        self._name, self._asked, self._colour = name, asked, colour

    def make(self, job: Job) -> Making:
        self._asked.append((self._name, job.seed))
        return Making(_png(self._colour(job.seed)), 0.0, 1.0, 0.0, 1.0, 28, 0)
