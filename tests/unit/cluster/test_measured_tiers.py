"""A tiers table goes through JSON whole, and is used only where it was made for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.config import ClusterConfig, ModelConfig
from cluster.errors import ConfigError
from cluster.measured_tiers import TiersTable, why_stale
from tests.unit.cluster.measured import PLATFORM, row, table_of


def test_a_table_comes_back_from_json_as_it_went(model: ModelConfig):
    table = table_of(
        model, row("none", psnr_db=None, adherence=(5, 6)), row(num_frames=17, guided=True)
    )
    assert TiersTable.from_json(table.to_json(), "file") == table


def test_numbers_go_to_json_with_six_digits(model: ModelConfig):
    written = json.loads(table_of(model, row(seconds_p50=1 / 3)).to_json())
    assert written["rows"][0]["seconds_p50"] == 0.333333


def test_a_table_that_fits_is_not_stale(model: ModelConfig):
    pool = model.pools[0]
    assert why_stale(table_of(model), model, pool, PLATFORM.versions, PLATFORM.device) is None
    assert why_stale(table_of(model), model, pool, PLATFORM.versions) is None


def test_other_settings_of_the_pool_make_a_table_stale(args: dict[str, Any], model: ModelConfig):
    args["models"][0]["pools"][0]["cache_config"]["Fn_compute_blocks"] = 2
    changed = ClusterConfig.model_validate(args).models[0]
    stale = why_stale(table_of(model), changed, changed.pools[0], PLATFORM.versions)
    assert stale is not None
    assert "config hash" in stale


def test_a_contract_of_a_tier_makes_no_table_stale(args: dict[str, Any], model: ModelConfig):
    tiers = {tier: {} for tier in args["models"][0]["pools"][0]["tiers"]}
    args["models"][0]["pools"][0]["tiers"] = tiers | {"fast": {"min_psnr_db": 40.0}}
    changed = ClusterConfig.model_validate(args).models[0]
    assert why_stale(table_of(model), changed, changed.pools[0], PLATFORM.versions) is None


def test_other_threads_on_a_cpu_make_a_table_stale(args: dict[str, Any], model: ModelConfig):
    args["models"][0]["pools"][0]["cpus_per_rank"] = 4
    changed = ClusterConfig.model_validate(args).models[0]
    stale = why_stale(table_of(model), changed, changed.pools[0], PLATFORM.versions)
    assert stale == "it was measured with cpus_per_rank 1, here 4"


@pytest.mark.parametrize(
    ("versions", "names"),
    [
        ({"torch": "2.14.0"}, ["torch 2.13.0", "2.14.0"]),
        ({"cache-dit": "1.6.0"}, ["cache-dit 1.5.3", "1.6.0"]),
        ({"torchao": "0.18.0"}, ["torchao none", "0.18.0"]),
    ],
)
def test_a_library_of_another_version_makes_a_table_stale(
    model: ModelConfig, versions: dict[str, str], names: list[str]
):
    stale = why_stale(table_of(model), model, model.pools[0], PLATFORM.versions | versions)
    assert stale is not None
    assert all(name in stale for name in names)


def test_another_card_makes_a_table_stale(model: ModelConfig):
    stale = why_stale(table_of(model), model, model.pools[0], PLATFORM.versions, "other card")
    assert stale == "it was measured on card, here is other card"


def test_a_pool_that_was_not_measured_has_no_rows(model: ModelConfig):
    stale = why_stale(table_of(model), model, model.pools[1], PLATFORM.versions)
    assert stale == "it has no rows of shapes/cuda"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "file: not valid JSON"),
        ("[]", "file: must be a mapping"),
        ('{"format": "dit-serve-tiers/2"}', "file: format"),
        ('{"rws": []}', "did you mean rows?"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(text: str, says: str):
    with pytest.raises(ConfigError) as refused:
        TiersTable.from_json(text, "file")
    assert says in str(refused.value)


def test_a_row_says_what_work_it_is_of():
    assert row(num_frames=17, guided=True).name == "shapes/cpu 128x128x17, 28 steps, guided"
