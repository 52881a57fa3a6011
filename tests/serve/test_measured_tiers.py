"""A tiers table is published and used where it fits, and refused with a sentence where not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cluster.measured_tiers import TiersTable
from cluster.tiers import Tier
from deployments.cli import app
from tests.serve.server import Server, serving
from tests.serve.test_queue import PROMPT, until

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

STEPS = 20


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short calibration of the embedded model on this machine."""
    path: Path = tmp_path_factory.mktemp("calibration") / "tiers.json"
    options = ["--out", str(path), "--rounds", "1", "--steps", str(STEPS)]
    answer = CliRunner().invoke(app, ["calibrate", "configs/demo.yaml", *options])
    assert answer.exit_code == 0, answer.output
    return path


@pytest.fixture(scope="module")
def informed(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A cluster that has served nobody, and has this machine's table for one of its two models.

    The other, `old`, has one that was made with another torch.
    """
    folder = tmp_path_factory.mktemp("informed")
    made = json.loads(table.read_text())
    made["platform"]["versions"]["torch"] = "1.0"
    stale = folder / "stale.json"
    stale.write_text(json.dumps(made).replace('"shapes"', '"old"'))
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    args = document["applications"][0]["args"]
    (model,) = args["models"]
    model["pools"][0]["cpus_per_rank"] = 0.5
    args["models"] = [
        model | {"tiers_table": str(table)},
        model | {"name": "old", "tiers_table": str(stale)},
    ]
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    with serving(config, folder) as running:
        yield running


def tiers_of(server: Server, model: str) -> dict[str, Any]:
    """What `/v1/tiers` says, by tier, once the replica has said what it runs on."""
    with server.client() as client:

        def listed() -> dict[str, Any]:
            data = client.get("/v1/tiers").json()["data"]
            return {each["tier"]: each for each in data if each["model"] == model}

        until(lambda: "no replica" not in str(listed()["none"]["measured_refused"]))
        return listed()


def test_the_first_request_is_forecast_from_the_table(informed: Server, table: Path) -> None:
    rows = TiersTable.from_json(table.read_text(), str(table)).rows
    measured_s = {row.tier: row.seconds_p50 for row in rows}
    tiers_of(informed, "shapes")
    with informed.client() as client:
        for tier in (Tier.ULTRA, Tier.NONE):
            asked = {"prompt": PROMPT, "tier": tier, "num_inference_steps": STEPS}
            receipt = client.post("/v1/images/generations", json=asked).json()["receipt"]
            assert receipt["forecast_s"] == pytest.approx(measured_s[tier], rel=0.01)


def test_the_table_is_published_with_when_and_on_what(informed: Server, table: Path) -> None:
    made = json.loads(table.read_text())
    listed = tiers_of(informed, "shapes")
    assert list(listed) == [str(tier) for tier in Tier]
    for tier, row in zip(listed, made["rows"], strict=True):
        (measured,) = listed[tier]["measured"]
        assert listed[tier]["measured_refused"] is None
        assert (measured["size"], measured["steps"]) == ("128x128", STEPS)
        assert measured["seconds_p50"] == row["seconds_p50"]
        assert measured["made_at"] == made["made_at"]
        assert measured["device"] == made["platform"]["device"]
    assert listed["ultra"]["measured"][0]["speed_up"] > 1


def test_a_stale_table_is_refused_with_a_sentence_and_not_used(informed: Server) -> None:
    listed = tiers_of(informed, "old")
    for each in listed.values():
        assert each["measured"] == []
        assert "is not used: it was measured with torch 1.0, here runs" in each["measured_refused"]
    assert "it was measured with torch 1.0" in informed.log.read_text(errors="replace")
    with informed.client() as client:
        asked = {"model": "old", "prompt": PROMPT, "num_inference_steps": STEPS, "tier": "ultra"}
        receipt = client.post("/v1/images/generations", json=asked).json()["receipt"]
    assert receipt["forecast_s"] is None
