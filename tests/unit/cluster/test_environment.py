"""Defaults from the environment: below the file, above the built-in, and never dropped silently."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.acceleration import CacheConfig
from cluster.config import ClusterConfig
from cluster.environment import read_environment
from cluster.errors import ConfigError
from cluster.load import validate_args
from cluster.tiers import Tier
from cluster.variables import CACHE_KEYS, PREFIX, READERS

PLAIN: dict[str, Any] = {"models": [{"name": "m", "source": "s", "pools": [{"name": "p"}]}]}


def variables(**suffixes: str) -> dict[str, str]:
    return {f"{PREFIX}{suffix}": text for suffix, text in suffixes.items()}


def plain(*, model: dict[str, Any] | None = None, **pool: Any) -> dict[str, Any]:
    args = deepcopy(PLAIN)
    args["models"][0] |= model or {}
    args["models"][0]["pools"][0] |= pool
    return args


def configured(args: dict[str, Any], **suffixes: str) -> ClusterConfig:
    return validate_args(args, "f.yaml: args", variables(**suffixes))


def refusal(args: dict[str, Any], **suffixes: str) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(args, **suffixes)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("suffix", "text", "key", "value"),
    [
        ("FN", "1", "Fn_compute_blocks", 1),
        ("BN", "2", "Bn_compute_blocks", 2),
        ("WARMUP", "4", "max_warmup_steps", 4),
        ("RDT", "0.12", "residual_diff_threshold", 0.12),
        ("RDT", "1", "residual_diff_threshold", 1.0),
        ("MC", "-1", "max_continuous_cached_steps", -1),
        ("TAYLORSEER", "true", "enable_taylorseer", True),
        ("TAYLORSEER", "Off", "enable_taylorseer", False),
        ("TS_ORDER", "2", "taylorseer_order", 2),
        ("SCM_POLICY", "static", "steps_computation_policy", "static"),
    ],
)
def test_a_variable_sets_a_key_of_every_pool(suffix: str, text: str, key: str, value: object):
    config = configured(plain(), **{suffix: text})
    assert config.models[0].pools[0].cache_config.model_dump(exclude_unset=True) == {key: value}


def test_bins_are_numbers_with_commas_between():
    config = configured(plain(), SCM_COMPUTE_BINS="6, 1,1", SCM_CACHE_BINS="1,3")
    cache = config.models[0].pools[0].cache_config
    assert (cache.scm_compute_bins, cache.scm_cache_bins) == ((6, 1, 1), (1, 3))


@pytest.mark.parametrize(
    ("words", "value"), [("true 1 on yes TRUE Yes", True), ("false 0 off no OFF", False)]
)
def test_yes_and_no_have_many_words(words: str, value: bool):
    for word in words.split():
        assert read_environment(variables(ENABLED=word)).disabled is not value


def test_every_key_that_a_variable_sets_is_one_of_the_section():
    assert set(CACHE_KEYS.values()) <= set(CacheConfig.model_fields)


KEYS = ["Fn_compute_blocks", "Bn_compute_blocks", "max_warmup_steps", "max_continuous_cached_steps"]
VARIABLE_OF = {key: name for name, key in CACHE_KEYS.items()}
SETTINGS = st.dictionaries(st.sampled_from(KEYS), st.integers(1, 9))


@given(SETTINGS, SETTINGS, SETTINGS)
def test_a_tier_stands_over_the_file_and_the_file_over_the_environment(
    tier: dict[str, int], file: dict[str, int], environment: dict[str, int]
):
    args = plain(cache_config=file, tiers={"medium": tier, "none": {}})
    set_variables = {VARIABLE_OF[key]: str(value) for key, value in environment.items()}
    pool = validate_args(args, "args", set_variables).models[0].pools[0]
    built_in = CacheConfig().model_dump()
    for name, own in (("medium", tier), ("none", {})):
        used = pool.cache_for(Tier(name)).model_dump()
        assert used == built_in | environment | file | own


def test_the_args_themselves_are_not_changed():
    shared = {"name": "p", "cache_config": {"Bn_compute_blocks": 1}}
    args = {"models": [{"name": name, "source": "s", "pools": [shared]} for name in "ab"]}
    before = deepcopy(args)
    assert configured(args, FN="1", ENABLED="no", SCM_PRESET="fast")
    assert args == before


def test_variables_of_others_change_nothing(args: dict[str, Any]):
    others = {"DIT_SERVE_OTHER": "1", "CACHE_DIT_FN": "x", "PATH": "/bin"}
    assert validate_args(args, "args", others) == ClusterConfig.model_validate(args)


def test_a_null_in_the_file_takes_a_default_of_the_environment_away():
    nulls = {"scm_compute_bins": None, "scm_cache_bins": None}
    config = configured(plain(cache_config=nulls), SCM_COMPUTE_BINS="4", SCM_CACHE_BINS="4")
    assert config.models[0].pools[0].cache_config.mask_steps_max() is None


@pytest.mark.parametrize("preset", list(Tier))
def test_the_preset_is_the_default_tier_of_a_model_that_names_none(preset: Tier):
    model = configured(plain(), SCM_PRESET=preset).models[0]
    assert model.default_tier == preset
    assert model.pools[0].cache_config == CacheConfig()
    named = configured(plain(model={"default_tier": "slow"}), SCM_PRESET=preset).models[0]
    assert named.default_tier == "slow"


def test_disabled_leaves_pools_that_name_no_tiers_only_none():
    model = configured(plain(), ENABLED="false").models[0]
    assert (model.tiers, model.default_tier) == ((Tier.NONE,), Tier.NONE)


def test_disabled_stands_over_the_preset():
    assert configured(plain(), ENABLED="0", SCM_PRESET="fast").models[0].default_tier == "none"


def test_disabled_leaves_pools_that_name_their_tiers_as_they_are():
    model = configured(plain(tiers=["medium", "fast"]), ENABLED="false").models[0]
    assert (model.tiers, model.default_tier) == ((Tier.MEDIUM, Tier.FAST), Tier.MEDIUM)


def test_enabled_changes_nothing():
    assert configured(plain(), ENABLED="yes") == ClusterConfig.model_validate(plain())


@pytest.mark.parametrize(
    ("suffix", "text", "words"),
    [
        ("FN", "0", ["greater than or equal to 1", "given: 0"]),
        ("FN", "1.5", ["must be a whole number", "given: '1.5'"]),
        ("FN", "", ["must be a whole number", "given: ''"]),
        ("BN", "-1", ["given: -1"]),
        ("RDT", "nan", ["finite", "given: nan"]),
        ("RDT", "much", ["must be a number", "given: 'much'"]),
        ("TS_ORDER", "5", ["less than or equal to 4", "given: 5"]),
        ("TAYLORSEER", "maybe", ["true, 1, on, yes, false, 0, off, no", "given: 'maybe'"]),
        ("ENABLED", "2", ["given: '2'"]),
        ("SCM_PRESET", "medum", ["none, slow", "given: 'medum'", "did you mean medium?"]),
        ("SCM_POLICY", "bogus", ["dynamic, static", "given: 'bogus'"]),
        ("SCM_CACHE_BINS", "4;1", ["commas", "given: '4;1'"]),
        ("SCM_CACHE_BINS", "4,0", ["at least 1", "given: (4, 0)"]),
        ("FNN", "1", ["unknown variable", f"did you mean {PREFIX}FN?"]),
        ("FM", "1", [f"did you mean {PREFIX}FN?"]),
        ("SCM_PRESETS", "fast", [f"did you mean {PREFIX}SCM_PRESET?"]),
        ("RESIDUAL_DIFF_THRESHOLD", "1", [f"did you mean {PREFIX}RDT?"]),
        ("QQQQ", "1", ["unknown variable", *READERS]),
        ("", "1", ["unknown variable"]),
    ],
)
def test_a_wrong_variable_is_one_line_that_begins_with_its_name(
    suffix: str, text: str, words: list[str]
):
    line = refusal(plain(), **{suffix: text})
    assert line.startswith(f"{PREFIX}{suffix}: ")
    assert [word for word in words if word not in line] == [], line


def test_every_wrong_variable_has_a_line():
    with pytest.raises(ConfigError) as caught:
        read_environment(variables(FN="x", BN="y", WARMUP="1"))
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        f"{PREFIX}BN",
        f"{PREFIX}FN",
    ]


POOL = "f.yaml: args.models[0].pools[0]"


def test_a_conflict_names_the_path_of_the_file_and_the_variables_that_have_a_part():
    line = refusal(
        plain(cache_config={"steps_computation_mask": "fast"}),
        SCM_COMPUTE_BINS="4",
        SCM_CACHE_BINS="4",
        FN="1",
    )
    assert line.startswith(f"{POOL}.cache_config: steps_computation_mask and the scm bins")
    assert f"{PREFIX}SCM_COMPUTE_BINS sets scm_compute_bins" in line
    assert f"{PREFIX}SCM_CACHE_BINS sets scm_cache_bins" in line
    assert f"{PREFIX}FN" not in line


def test_half_of_the_bins_is_told_with_the_variable():
    assert refusal(plain(), SCM_CACHE_BINS="4").endswith(
        f"give both or none ({PREFIX}SCM_CACHE_BINS sets scm_cache_bins)"
    )
    assert configured(plain(cache_config={"scm_compute_bins": [4]}), SCM_CACHE_BINS="4")


def test_a_conflict_with_a_tier_is_told_with_the_variables():
    tiers = {"medium": {"steps_computation_mask": "fast"}}
    line = refusal(plain(tiers=tiers), SCM_COMPUTE_BINS="4", SCM_CACHE_BINS="4")
    assert line.startswith(f"{POOL}: tier medium together with the pool's cache_config: ")
    assert f"{PREFIX}SCM_CACHE_BINS sets" in line


@pytest.mark.parametrize(
    ("model", "pool", "suffixes", "says"),
    [
        ({}, {"tiers": ["medium"]}, {"SCM_PRESET": "fast"}, "SCM_PRESET sets default_tier"),
        ({"default_tier": "medium"}, {}, {"ENABLED": "no"}, "ENABLED sets tiers"),
    ],
)
def test_a_default_tier_that_no_pool_serves_is_told_with_the_variable(
    model: dict[str, Any], pool: dict[str, Any], suffixes: dict[str, str], says: str
):
    line = refusal(plain(model=model, **pool), **suffixes)
    assert line.startswith("f.yaml: args.models[0]: default_tier: no pool serves ")
    assert line.endswith(f"({PREFIX}{says})")


def test_a_fault_of_the_file_alone_names_no_variable():
    line = refusal(plain(cache_config={"Fn_compute_blocks": 0}), FN="1", RDT="0.1")
    assert line.startswith(f"{POOL}.cache_config.Fn_compute_blocks: ")
    assert PREFIX not in line


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"models": None},
        {"models": 5},
        {"models": [5, {"pools": 5}, {"pools": [5, {"cache_config": 5, "tiers": 5}]}]},
        {"models": [{"pools": None, "default_tier": None}]},
    ],
)
def test_what_is_no_config_is_refused_as_without_the_environment(args: dict[str, Any]):
    with pytest.raises(ConfigError) as without:
        validate_args(args, "args")
    with pytest.raises(ConfigError) as caught:
        configured(args, FN="1", ENABLED="no", SCM_PRESET="fast")
    paths = [
        [line.removeprefix("f.yaml: ").split(": ")[0] for line in str(error.value).splitlines()]
        for error in (caught, without)
    ]
    assert paths[0] == paths[1]
