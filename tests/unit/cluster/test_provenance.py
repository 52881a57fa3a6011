"""Where each cache setting of a pool comes from."""

from __future__ import annotations

from typing import Any

from cluster.acceleration import CacheConfig
from cluster.environment import read_environment
from cluster.load import validate_args
from cluster.provenance import DEFAULT, PoolSettings, Setting, cache_settings
from cluster.variables import PREFIX


def settings_of(args: dict[str, Any], **suffixes: str) -> tuple[PoolSettings, ...]:
    variables = {f"{PREFIX}{suffix}": text for suffix, text in suffixes.items()}
    config = validate_args(args, "args", variables)
    return cache_settings(args, "args", read_environment(variables), config)


def test_each_pool_is_told_with_its_path(args: dict[str, Any]):
    assert [(pool.name, pool.path) for pool in settings_of(args)] == [
        ("shapes/cpu", "args.models[0].pools[0]"),
        ("shapes/cuda", "args.models[0].pools[1]"),
    ]


def test_a_value_is_the_files_or_the_environments_or_a_tiers_or_the_default(args: dict[str, Any]):
    cuda = settings_of(args, FN="4", BN="2")[1]
    assert cuda.stated == (
        Setting("Fn_compute_blocks", 1, "file: cache_config.Fn_compute_blocks"),
        Setting("Bn_compute_blocks", 2, f"environment: {PREFIX}BN"),
        Setting("residual_diff_threshold", 0.2, "tier override: medium"),
        Setting("enable_taylorseer", True, "file: cache_config.enable_taylorseer"),
        Setting("enable_taylorseer", False, "tier override: ultra"),
    )
    assert Setting("residual_diff_threshold", 0.08, DEFAULT) in cuda.settings


def test_all_settings_have_every_key_in_the_order_of_the_section(args: dict[str, Any]):
    cpu = settings_of(args)[0]
    assert [setting.key for setting in cpu.settings] == list(CacheConfig.model_fields)


def test_tiers_with_the_same_value_are_told_together(args: dict[str, Any]):
    args["models"][0]["pools"][0]["tiers"] = {
        "none": {},
        "slow": {"warmup_interval": 2},
        "medium": {"warmup_interval": 2},
        "fast": {"warmup_interval": 3},
    }
    cpu = settings_of(args)[0]
    assert [setting for setting in cpu.stated if setting.key == "warmup_interval"] == [
        Setting("warmup_interval", 2, "tier override: slow, medium"),
        Setting("warmup_interval", 3, "tier override: fast"),
    ]


def test_a_translated_key_is_told_as_the_file_spells_it(args: dict[str, Any]):
    args["models"][0]["pools"][0]["cache_config"] = {"enable_sperate_cfg": True}
    assert settings_of(args)[0].stated == (
        Setting("enable_separate_cfg", True, "file: cache_config.enable_sperate_cfg"),
    )


def test_what_the_environment_chose_beside_the_cache_is_told(args: dict[str, Any]):
    del args["models"][0]["default_tier"]
    del args["models"][0]["pools"][0]["tiers"]
    preset = Setting("default_tier", "ultra", f"environment: {PREFIX}SCM_PRESET")
    assert [pool.chosen for pool in settings_of(args, SCM_PRESET="ultra")] == [(preset,)] * 2
    none = Setting("default_tier", "none", f"environment: {PREFIX}ENABLED")
    only_none = Setting("tiers", ("none",), f"environment: {PREFIX}ENABLED")
    cpu, cuda = settings_of(args, SCM_PRESET="ultra", ENABLED="no")
    assert cpu.chosen == (only_none, none)
    assert cuda.chosen == (none,)


def test_nothing_is_chosen_where_the_file_says_it(args: dict[str, Any]):
    assert all(
        pool.chosen == () for pool in settings_of(args, SCM_PRESET="fast", ENABLED="no", FN="1")
    )
