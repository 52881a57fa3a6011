"""`dit-serve plan` says what a config asks for, and whether a card and a cluster have it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cluster.config import ClusterConfig
from cluster.errors import ConfigError
from deployments.cli import app
from deployments.planning import CARD_MARGIN, declared_nodes, largest_run, plan_pools

pytestmark = pytest.mark.filterwarnings("ignore")


def checked(path: Path) -> ClusterConfig:
    """Imports late: Ray warns at import, of things that are not ours to mend."""
    from deployments.check import checked_config

    return checked_config(path)


REAL = sorted(path for path in Path("configs").glob("*.yaml") if "demo" not in path.name)
WIDE = {"COLUMNS": "200"}

run = CliRunner()


@pytest.mark.parametrize("path", REAL, ids=str)
def test_ranks_of_the_shipped_configs_fit_on_the_cards_that_they_name(path: Path) -> None:
    named = re.search(r"^# For cards of (\d+) GB", path.read_text(), re.MULTILINE)
    assert named is not None
    for plan in plan_pools(checked(path)):
        assert plan.memory is not None
        assert plan.memory.peak_bytes <= CARD_MARGIN * int(named[1]) * 1e9


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*.yaml")), ids=str)
def test_every_shipped_config_is_planned(path: Path) -> None:
    shown = run.invoke(app, ["plan", str(path)], env=WIDE)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "GB per rank" in shown.stdout
    assert "unknown" not in shown.stdout


def test_a_cluster_that_has_it_all_fits_and_a_smaller_one_tells_what_is_missing() -> None:
    fitting = run.invoke(app, ["plan", "configs/flux-dev.yaml", "--nodes", "1x8"], env=WIDE)
    assert fitting.exit_code == 0
    assert "fits on 1 node" in fitting.stdout
    short = run.invoke(app, ["plan", "configs/flux-dev.yaml", "--nodes", "2x2"], env=WIDE)
    assert short.exit_code == 1
    assert "does not fit on 2 nodes: 4 GPU on one node" in short.stdout


def test_a_card_that_is_too_small_is_told_in_gigabytes() -> None:
    plan = ["plan", "configs/qwen-image.yaml", "--gpu-memory-gb"]
    large = run.invoke(app, [*plan, "80"], env=WIDE)
    assert large.exit_code == 0
    assert "qwen-image/quick: a rank fits: 57.7 GB of the 72.0 GB" in large.stdout
    small = run.invoke(app, [*plan, "48"], env=WIDE)
    assert small.exit_code == 1
    assert "qwen-image/quick: a rank does not fit: 57.7 GB" in small.stdout
    assert "14.5 GB too many" in small.stdout


def test_an_unknown_architecture_leaves_the_memory_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    document = yaml.safe_load(Path("configs/flux-dev.yaml").read_text())
    document["applications"][0]["args"]["models"][0]["source"] = "nobody/knows-it"
    config = tmp_path / "unknown.yaml"
    config.write_text(yaml.safe_dump(document))
    shown = run.invoke(
        app, ["plan", str(config), "--nodes", "1x8", "--gpu-memory-gb", "80"], env=WIDE
    )
    assert shown.exit_code == 0
    assert "memory unknown: nobody/knows-it" in shown.stdout
    assert "fits on 1 node" in shown.stdout


def test_a_pool_that_makes_batches_plans_for_the_largest() -> None:
    config = checked(Path("configs/flux2-klein.yaml"))
    model = config.models[0]
    batches = {pool.name: largest_run(model, pool).pictures for pool in model.pools}
    assert batches == {"quality": 4, "quick": 1}
    single = model.pools[0].model_copy(update={"max_batch": 1})
    assert largest_run(model, single).pictures == 1
    clips = checked(Path("configs/wan2.1-t2v-1.3b.yaml")).models[0]
    assert {largest_run(clips, pool).pictures for pool in clips.pools} == {1}


def test_nodes_are_declared_by_count_gpus_and_cpus() -> None:
    assert declared_nodes("2x8") == [{"GPU": 8.0, "CPU": 64.0}] * 2
    assert declared_nodes("1x8x96, 1x0x4") == [{"GPU": 8, "CPU": 96}, {"GPU": 0, "CPU": 4}]
    with pytest.raises(ConfigError, match="is not COUNTxGPUS"):
        declared_nodes("two")


def test_a_cluster_that_does_not_answer_is_one_line() -> None:
    shown = run.invoke(app, ["plan", "configs/demo.yaml", "--address", "127.0.0.1:1"], env=WIDE)
    assert shown.exit_code == 2
    assert shown.stderr.startswith("address: no Ray cluster answers at 127.0.0.1:1")
