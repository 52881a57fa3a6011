"""The configs of real models: right, and of shapes that their architectures allow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from deployments.architecture_files import SHIPPED

REAL = sorted(path for path in Path("configs").glob("*.yaml") if "demo" not in path.name)

pytestmark = pytest.mark.filterwarnings("ignore")


def checked(path: Path) -> ClusterConfig:
    """Imports late: Ray warns at import, of things that are not ours to mend."""
    from deployments.check import checked_config

    return checked_config(path)


def test_there_is_a_config_for_each_architecture_that_we_ship() -> None:
    sources = {model.source for path in REAL for model in checked(path).models}
    assert sources == {
        folder.name.replace("--", "/", 1) for folder in SHIPPED.iterdir() if folder.is_dir()
    }


@pytest.mark.parametrize("path", REAL, ids=str)
def test_each_says_which_cards_it_is_for(path: Path) -> None:
    assert re.search(r"^# For cards of (80|141) GB", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", REAL, ids=str)
def test_attention_heads_divide_by_ulysses_and_tensor_parallelism(path: Path) -> None:
    for model in checked(path).models:
        folder = SHIPPED / model.source.replace("/", "--")
        transformer = json.loads((folder / "transformer/config.json").read_text())
        heads = transformer.get("num_attention_heads") or transformer["n_heads"]
        for pool in model.pools:
            assert heads % (pool.dims.ulysses_size * pool.dims.tp_size) == 0


@pytest.mark.parametrize("path", REAL, ids=str)
def test_every_tier_is_served(path: Path) -> None:
    assert all(len(model.tiers) == 5 for model in checked(path).models)


def test_shipped_architectures_hold_no_paths_and_no_weights() -> None:
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".md"}
    assert not any("_name_or_path" in path.read_text() for path in files)
