"""`dit-serve calibrate` on the embedded model: measures, goes on, judges contracts, searches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cluster.acceleration import CacheConfig
from cluster.config import ClusterConfig
from cluster.measured_tiers import TiersTable, why_stale
from cluster.pool import PoolConfig
from cluster.tiers import Tier
from deployments import calibrate
from deployments.calibration_journal import Journal
from deployments.calibration_plan import Asked, Work, chosen_pools, planned
from deployments.calibration_runs import Calibration, report_search
from deployments.cli import app
from deployments.engine import EngineSpec
from deployments.library_versions import library_versions
from tests.engine.conftest import DEMO

pytestmark = pytest.mark.filterwarnings("ignore")

run = CliRunner()
ONE_PROMPT = "a small green star on a black background\n"


@pytest.fixture
def loaded_once(monkeypatch: pytest.MonkeyPatch, engine: Any, spec: EngineSpec) -> Iterator[None]:
    """The engine of these tests in place of one that is loaded anew."""
    monkeypatch.setattr(calibrate, "build_engine", lambda spec: engine)
    yield
    engine.with_caches(spec.tiers)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text(ONE_PROMPT)
    return path


def with_tiers(folder: Path, tiers: dict[str, Any]) -> Path:
    document = yaml.safe_load(DEMO.read_text())
    document["applications"][0]["args"]["models"][0] |= {"default_tier": "none"}
    document["applications"][0]["args"]["models"][0]["pools"][0]["tiers"] = tiers
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def calibrated(config: Path, out: Path, prompts: Path, *options: str) -> Any:
    settings = ["--prompts", str(prompts), "--rounds", "1", "--steps", "8"]
    return run.invoke(app, ["calibrate", str(config), "--out", str(out), *settings, *options])


@pytest.mark.usefixtures("loaded_once")
def test_a_calibration_measures_every_tier_against_none(
    tmp_path: Path, prompts: Path, config: ClusterConfig
) -> None:
    out, plot = tmp_path / "tiers.json", tmp_path / "plot.svg"
    answer = calibrated(DEMO, out, prompts, "--plot", str(plot))
    assert answer.exit_code == 0, answer.output
    table = TiersTable.from_json(out.read_text(), str(out))
    assert [row.tier for row in table.rows] == list(Tier)
    none, *others = table.rows
    assert (none.speed_up, none.psnr_db, none.ssim) == (1.0, None, 1.0)
    assert [row.steps_computed for row in table.rows] == [8, 7, 6, 5, 4]
    psnrs_db = [row.psnr_db or 0.0 for row in others]
    assert psnrs_db == sorted(psnrs_db, reverse=True)
    assert all(25 < psnr_db < 90 for psnr_db in psnrs_db)
    assert none.adherence == (3, 3)
    assert none.peak_memory_bytes is None
    for row in table.rows:
        stages_s = row.encode_s + row.denoise_s + row.decode_s
        assert row.seconds_p50 == pytest.approx(stages_s, rel=1e-4)
    model = config.models[0]
    here = calibrate.device_name("cpu")
    assert why_stale(table, model, model.pools[0], library_versions(), here) is None
    assert "speed-up" in answer.stdout
    assert plot.read_text().startswith("<svg")
    assert {path.name for path in tmp_path.iterdir()} == {"tiers.json", "plot.svg", "prompts.txt"}


class _Killed(BaseException):
    """Stands for the end of the process in the middle of a picture."""


def work_of(config: ClusterConfig) -> list[Work]:
    asked = Asked(prompts=(ONE_PROMPT.strip(),), rounds=2, steps=(8,))
    return planned(config, chosen_pools(config, None, None)[0], asked)


def counting(killed_after: int | None = None) -> tuple[list[str], Callable[[str], Any]]:
    """The names of the pictures that were begun, and what is to be told of each."""
    begun: list[str] = []

    def begin(name: str) -> Any:
        if not name.startswith("warming"):
            begun.append(name)

        def stepped(done: int, total: int) -> None:
            if len(begun) == killed_after:
                raise _Killed

        return stepped

    return begun, begin


@pytest.mark.usefixtures("loaded_once")
def test_a_second_run_makes_only_what_the_first_had_not(
    tmp_path: Path, config: ClusterConfig
) -> None:
    work, out = work_of(config), tmp_path / "tiers.json"
    identity = {"device": "this"}
    first, begin = counting(killed_after=4)
    with contextlib.suppress(_Killed):
        calibrate.make_pictures(work, 0, Journal(out, identity, fresh=False), begin)
    assert len(first) == 4
    journal = Journal(out, identity, fresh=False)
    assert len(journal.timings) == 3
    assert calibrate.pictures_left(work, journal) == 10 - 3 + 5
    second, begin = counting()
    calibrate.make_pictures(work, 0, journal, begin)
    assert second[0] == first[-1], "the one that was cut short"
    assert len(second) == 10 - 3
    assert set(first) | set(second) == {
        f"{tier}, 8 steps, prompt 0 round {turn}" for tier in Tier for turn in (0, 1)
    }
    third, begin = counting()
    calibrate.make_pictures(work, 0, Journal(out, identity, fresh=False), begin)
    assert third == []


@pytest.mark.usefixtures("loaded_once")
def test_a_run_with_other_settings_does_not_go_on_from_the_first(
    tmp_path: Path, prompts: Path, config: ClusterConfig
) -> None:
    out = tmp_path / "tiers.json"
    Journal(out, {"device": "another card"}, fresh=False)
    refused = calibrated(DEMO, out, prompts)
    assert refused.exit_code == 2
    assert "another config" in refused.stderr
    assert calibrated(DEMO, out, prompts, "--fresh").exit_code == 0


@pytest.mark.usefixtures("loaded_once")
def test_a_broken_contract_ends_in_exit_code_1_with_the_numbers(
    tmp_path: Path, prompts: Path
) -> None:
    config = with_tiers(tmp_path, {"none": {}, "fast": {"min_speedup": 50, "min_psnr_db": 10}})
    answer = calibrated(config, tmp_path / "tiers.json", prompts)
    assert answer.exit_code == 1
    assert "contract broken: shapes/cpu 128x128, 8 steps, tier fast: min_speedup is" in (
        answer.stdout
    )
    assert "less than the 50 of its contract" in answer.stdout
    assert "min_psnr_db" not in answer.stdout
    assert (tmp_path / "tiers.json").exists()


@pytest.mark.usefixtures("loaded_once")
def test_tiers_that_are_turned_round_are_reported(tmp_path: Path, prompts: Path) -> None:
    turned = {
        "none": {},
        "slow": {"steps_computation_mask": "ultra"},
        "ultra": {"steps_computation_mask": "slow", "enable_taylorseer": True},
    }
    answer = calibrated(with_tiers(tmp_path, turned), tmp_path / "tiers.json", prompts)
    assert answer.exit_code == 0, "an order is reported, and is no contract"
    assert "out of order: shapes/cpu 128x128, 8 steps: slow" in answer.stdout
    assert "is less faithful than ultra" in answer.stdout


@pytest.mark.usefixtures("loaded_once")
def test_a_search_writes_tiers_that_a_config_takes(tmp_path: Path, config: ClusterConfig) -> None:
    out = tmp_path / "tiers.yaml"
    settings = [
        CacheConfig(steps_computation_mask=mask, steps_computation_policy="static")
        for mask in ("slow", "ultra")
    ]
    asked = Asked(prompts=(ONE_PROMPT.strip(),), rounds=1, steps=(8,))
    chosen = chosen_pools(config, None, None)[0]
    search = Calibration(config, chosen, asked, {}, out, fresh=False)
    assert report_search(search, {Tier.SLOW: 45.0, Tier.ULTRA: 20.0}, settings)
    fragment = yaml.safe_load(out.read_text())
    pool = PoolConfig.model_validate({"name": "a", "device": "cpu"} | fragment)
    assert list(pool.tiers) == [Tier.NONE, Tier.SLOW, Tier.ULTRA]
    assert pool.cache_for(Tier.SLOW).steps_computation_mask == "slow"
    assert pool.tiers[Tier.SLOW].min_psnr_db == 45.0
    assert not report_search(search, {Tier.SLOW: 99.0}, settings)
    assert "nothing in the grid is as faithful" in out.read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--search", "--want-psnr", "fast=much"], "'fast=much' is not TIER=DB"),
        (["--search", "--want-psnr", "ultra=60"], "ultra is to be more faithful (60 dB)"),
        (["--search", "--want-psnr", "none=60"], "none is what the others are measured against"),
        (["--weights", "fid=somewhere"], "no score fid; there are clip, lpips"),
        (["--weights", "clip"], "'clip' is not SCORE=PATH"),
        (["--weights", "clip=configs"], "--weights clip=configs: no CLIP model"),
        (["--weights", "lpips=x"], "pip install lpips torchvision"),
        (["--want-psnr", "fast=40"], "give --search as well"),
        (["--search", "--plot", "p.svg"], "--search has no table to plot"),
        (["--plot", "nowhere/p.svg"], "nowhere/p.svg is not a file in a folder that exists"),
        (["--prompts", "nowhere.txt"], "--prompts: nowhere.txt cannot be read"),
        (["--pool", "gpu"], "no pool */gpu in the config; there are shapes/cpu"),
        (["--size", "4096x4096"], "size: 4096x4096 is too large"),
        (["--search", "--steps", "28", "--steps", "50"], "one number of steps at a time"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], says: str
) -> None:
    monkeypatch.delattr(calibrate, "build_engine")
    answer = run.invoke(app, ["calibrate", str(DEMO), "--out", str(tmp_path / "t"), *options])
    assert answer.exit_code == 2
    assert says in answer.stderr
    assert list(tmp_path.iterdir()) == []
