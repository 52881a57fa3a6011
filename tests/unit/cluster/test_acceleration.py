"""The sections that cache-dit's users know: every key as they write it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from cluster.acceleration import (
    ATTENTION_BACKENDS,
    CacheConfig,
    ParallelismConfig,
    QuantizeConfig,
    known_attention_backend,
)
from cluster.sections import Section, fault_lines
from cluster.tiers import Tier
from placement.parallel import ParallelDims, PlacementError


def read(kind: type[Section], text: str) -> Any:
    return kind.model_validate(yaml.safe_load(text))


def stated(section: Section) -> dict[str, Any]:
    return section.model_dump(exclude_unset=True)


def refusal(kind: type[Section], text: str) -> str:
    """The one line that a section is refused with."""
    with pytest.raises(ValidationError) as caught:
        read(kind, text)
    (line,) = fault_lines(caught.value)
    assert "\n" not in line
    return line


def test_a_cache_config_is_read_as_cache_dits_users_write_it():
    cache = read(
        CacheConfig,
        """
        max_warmup_steps: 4
        warmup_interval: 2
        max_cached_steps: 20
        max_continuous_cached_steps: 3
        Fn_compute_blocks: 1
        Bn_compute_blocks: 2
        residual_diff_threshold: 0.12
        enable_taylorseer: true
        taylorseer_order: 2
        num_inference_steps: 28
        steps_computation_mask: fast
        enable_sperate_cfg: true
        """,
    )
    assert stated(cache) == {
        "max_warmup_steps": 4,
        "warmup_interval": 2,
        "max_cached_steps": 20,
        "max_continuous_cached_steps": 3,
        "Fn_compute_blocks": 1,
        "Bn_compute_blocks": 2,
        "residual_diff_threshold": 0.12,
        "enable_taylorseer": True,
        "taylorseer_order": 2,
        "num_inference_steps": 28,
        "steps_computation_mask": "fast",
        "enable_separate_cfg": True,
    }


@pytest.mark.parametrize("value", [True, False])
def test_the_documented_misspelling_means_the_right_key(value: bool):
    misspelt = CacheConfig.model_validate({"enable_sperate_cfg": value})
    assert misspelt == CacheConfig.model_validate({"enable_separate_cfg": value})
    assert misspelt.enable_separate_cfg is value


def test_both_spellings_with_the_same_value_are_one_key():
    both = read(CacheConfig, "{enable_sperate_cfg: true, enable_separate_cfg: true}")
    assert both.enable_separate_cfg is True


def test_both_spellings_with_different_values_are_refused():
    line = refusal(CacheConfig, "{enable_separate_cfg: false, enable_sperate_cfg: true}")
    assert "enable_separate_cfg and enable_sperate_cfg are the same key" in line
    assert "different values" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Fn_compute_block: 1", ["Fn_compute_block;", "did you mean Fn_compute_blocks?"]),
        ("residual_dif_threshold: 1", ["did you mean residual_diff_threshold?"]),
        ("warmup: 1", ["unknown key warmup"]),
        ("Fn_compute_blocks: 0", ["Fn_compute_blocks: ", "1", "given: 0"]),
        ("Fn_compute_blocks: true", ["Fn_compute_blocks: ", "given: True"]),
        ("Fn_compute_blocks: '8'", ["Fn_compute_blocks: ", "given: '8'"]),
        ("Bn_compute_blocks: -1", ["Bn_compute_blocks: ", "given: -1"]),
        ("residual_diff_threshold: -0.1", ["residual_diff_threshold: ", "given: -0.1"]),
        ("residual_diff_threshold: .nan", ["residual_diff_threshold: ", "finite"]),
        ("residual_diff_threshold: .inf", ["residual_diff_threshold: ", "finite"]),
        ("max_warmup_steps: 1.5", ["max_warmup_steps: ", "given: 1.5"]),
        ("warmup_interval: 0", ["warmup_interval: ", "given: 0"]),
        ("max_cached_steps: -2", ["max_cached_steps: ", "given: -2"]),
        ("enable_taylorseer: 1", ["enable_taylorseer: ", "given: 1"]),
        ("taylorseer_order: -1", ["taylorseer_order: ", "given: -1"]),
        ("num_inference_steps: 0", ["num_inference_steps: ", "given: 0"]),
        ("steps_computation_policy: bogus", ["'dynamic' or 'static'", "bogus"]),
        ("steps_computation_mask: quick", ["slow, medium, fast, ultra", "quick"]),
        ("steps_computation_mask: []", ["steps_computation_mask: ", "begins with 1"]),
        ("steps_computation_mask: [0, 1]", ["steps_computation_mask: ", "begins with 1"]),
        ("steps_computation_mask: [1, 2]", ["steps_computation_mask: ", "1 (compute)"]),
        ("{steps_computation_mask: [1, 0], num_inference_steps: 3}", ["2 steps", "is 3"]),
        ("scm_compute_bins: [4]", ["scm_compute_bins and scm_cache_bins", "both"]),
        ("scm_cache_bins: [4]", ["scm_compute_bins and scm_cache_bins", "both"]),
        ("{scm_compute_bins: [4, 0], scm_cache_bins: [1]}", ["scm_compute_bins: ", "at least 1"]),
        ("{scm_compute_bins: [4], scm_cache_bins: []}", ["scm_cache_bins: ", "at least 1"]),
        (
            "{scm_compute_bins: [4], scm_cache_bins: [4], steps_computation_mask: fast}",
            ["steps_computation_mask and the scm bins", "one of them"],
        ),
    ],
)
def test_a_wrong_cache_setting_is_refused_in_one_line(text: str, words: list[str]):
    line = refusal(CacheConfig, text)
    assert [word for word in words if word not in line] == [], line


@pytest.mark.parametrize("preset", ["slow", "medium", "fast", "ultra"])
def test_a_mask_may_be_a_preset_whatever_the_tier(preset: str):
    cache = CacheConfig.model_validate({"steps_computation_mask": preset})
    assert cache.preset_for(Tier.SLOW) == preset
    assert cache.mask_steps_max() is None


@pytest.mark.parametrize("tier", [Tier.SLOW, Tier.MEDIUM, Tier.FAST, Tier.ULTRA])
def test_without_a_mask_a_tier_has_its_own_preset(tier: Tier):
    assert CacheConfig().preset_for(tier) == tier
    assert CacheConfig().mask_steps_max() is None


def test_a_mask_of_numbers_covers_as_many_steps_as_it_has_numbers():
    cache = read(CacheConfig, "{steps_computation_mask: [1, 1, 0, 0, 1], num_inference_steps: 5}")
    assert cache.steps_computation_mask == (1, 1, 0, 0, 1)
    assert cache.mask_steps_max() == 5


def test_bins_cover_as_many_steps_as_they_sum_to():
    cache = read(CacheConfig, "{scm_compute_bins: [6, 1, 1], scm_cache_bins: [1, 3]}")
    assert (cache.scm_compute_bins, cache.scm_cache_bins) == ((6, 1, 1), (1, 3))
    assert cache.mask_steps_max() == 12


@pytest.mark.parametrize("policy", ["dynamic", "static"])
def test_both_policies_of_cache_dit_are_taken(policy: str):
    assert stated(CacheConfig.model_validate({"steps_computation_policy": policy})) == {
        "steps_computation_policy": policy
    }


def test_an_override_replaces_what_it_states_and_keeps_the_rest():
    pool = read(CacheConfig, "{Fn_compute_blocks: 1, enable_taylorseer: true, warmup_interval: 2}")
    tier = read(CacheConfig, "{enable_taylorseer: false, max_warmup_steps: 4}")
    assert stated(pool.overridden(tier)) == {
        "Fn_compute_blocks": 1,
        "enable_taylorseer": False,
        "warmup_interval": 2,
        "max_warmup_steps": 4,
    }


def test_an_override_may_state_a_default():
    pool = CacheConfig.model_validate({"Fn_compute_blocks": 1})
    tier = CacheConfig.model_validate({"Fn_compute_blocks": 8})
    assert pool.overridden(tier).Fn_compute_blocks == 8


def test_an_empty_override_changes_nothing():
    pool = CacheConfig.model_validate({"Fn_compute_blocks": 1, "steps_computation_mask": "fast"})
    assert pool.overridden(CacheConfig()) == pool


def test_an_override_that_contradicts_the_rest_is_refused():
    pool = read(CacheConfig, "steps_computation_mask: fast")
    bins = read(CacheConfig, "{scm_compute_bins: [4], scm_cache_bins: [4]}")
    with pytest.raises(ValueError, match="one of them"):
        pool.overridden(bins)


def test_an_override_takes_a_setting_away_with_null():
    pool = read(CacheConfig, "steps_computation_mask: fast")
    bins = read(
        CacheConfig,
        "{steps_computation_mask: null, scm_compute_bins: [4], scm_cache_bins: [4]}",
    )
    assert pool.overridden(bins).mask_steps_max() == 8


def test_a_parallelism_config_is_read_as_cache_dits_users_write_it():
    parallelism = read(
        ParallelismConfig,
        """
        ulysses_size: auto
        ring_size: 2
        tp_size: 1
        attention_backend: native
        ulysses_anything: true
        ulysses_float8: true
        ulysses_async: true
        extra_parallel_modules: ["text_encoder", "vae"]
        """,
    )
    assert stated(parallelism) == {
        "ulysses_size": "auto",
        "ring_size": 2,
        "tp_size": 1,
        "attention_backend": "native",
        "ulysses_anything": True,
        "ulysses_float8": True,
        "ulysses_async": True,
        "extra_parallel_modules": ("text_encoder", "vae"),
    }


@pytest.mark.parametrize("alias", ["ulysses", "ring", "tp"])
@pytest.mark.parametrize("size", [2, "auto"])
def test_the_short_names_of_sizes_are_the_long_ones(alias: str, size: int | str):
    short = ParallelismConfig.model_validate({alias: size})
    assert short == ParallelismConfig.model_validate({f"{alias}_size": size})
    assert short.dims(2).label == f"{alias}2"


def test_a_size_given_twice_must_agree():
    assert read(ParallelismConfig, "{ulysses_size: 2, ulysses: 2}").ulysses_size == 2
    line = refusal(ParallelismConfig, "{ulysses_size: 2, ulysses: 4}")
    assert "ulysses_size and ulysses are the same key" in line
    assert "different values" in line


def test_auto_fills_the_ranks_of_the_pool():
    sizes = read(ParallelismConfig, "{ulysses_size: auto, tp_size: 2}")
    assert sizes.dims(8) == ParallelDims(ulysses_size=4, tp_size=2)


def test_no_parallelism_is_one_rank_and_nothing_else():
    assert ParallelismConfig().dims(1) == ParallelDims()
    with pytest.raises(PlacementError):
        ParallelismConfig().dims(2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ulyses_size: 2", ["ulyses_size", "did you mean ulysses_size?"]),
        ("attention_backend: flsh", ["attention_backend: ", "flsh", "flash", "native"]),
        ("ulysses_anything: 'on'", ["ulysses_anything: ", "given: 'on'"]),
        ("extra_parallel_modules: [vae, vea]", ["extra_parallel_modules[1]: ", "'vae'", "'vea'"]),
        ("extra_parallel_modules: vae", ["extra_parallel_modules: ", "given: 'vae'"]),
    ],
)
def test_a_wrong_parallelism_setting_is_refused_in_one_line(text: str, words: list[str]):
    line = refusal(ParallelismConfig, text)
    assert [word for word in words if word not in line] == [], line


@pytest.mark.parametrize("size", ["two", 1.5, True])
def test_a_size_is_a_whole_number_or_auto(size: object):
    with pytest.raises(ValidationError, match="ulysses_size"):
        ParallelismConfig.model_validate({"ulysses_size": size})


def test_a_quantize_config_is_read_as_cache_dits_users_write_it():
    quantize = read(
        QuantizeConfig,
        """
        quant_type: float8_weight_only
        exclude_layers: [embedder, embed]
        verbose: true
        """,
    )
    assert stated(quantize) == {
        "quant_type": "float8_weight_only",
        "exclude_layers": ("embedder", "embed"),
        "verbose": True,
    }


@pytest.mark.parametrize(
    ("old", "today"),
    [
        ("float8", "float8_per_row"),
        ("float8_blockwise", "float8_per_block"),
        ("int8", "int8_per_row"),
    ],
)
def test_the_documented_old_quant_types_have_todays_names(old: str, today: str):
    assert QuantizeConfig.model_validate({"quant_type": old}).quant_type == today


@pytest.mark.parametrize(
    "name",
    [
        "float8_per_row",
        "float8_per_tensor",
        "float8_per_block",
        "float8_weight_only",
        "int8_per_row",
        "int8_per_tensor",
        "int8_weight_only",
    ],
)
def test_todays_quant_types_keep_their_names(name: str):
    assert QuantizeConfig.model_validate({"quant_type": name}).quant_type == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("quant_type: fp8", ["quant_type: ", "'float8_per_row'", "'int8_weight_only'", "'fp8'"]),
        ("quant_type: null", ["quant_type: ", "None"]),
        ("exclude_layer: [embed]", ["exclude_layer;", "did you mean exclude_layers?"]),
        ("exclude_layers: embed", ["exclude_layers: ", "given: 'embed'"]),
        ("exclude_layers: [1]", ["exclude_layers[0]: ", "given: 1"]),
        ("verbose: 'yes'", ["verbose: ", "given: 'yes'"]),
    ],
)
def test_a_wrong_quantize_setting_is_refused_in_one_line(text: str, words: list[str]):
    line = refusal(QuantizeConfig, text)
    assert [word for word in words if word not in line] == [], line


def test_a_known_attention_backend_is_itself():
    assert known_attention_backend(None) is None
    assert [known_attention_backend(name) for name in ATTENTION_BACKENDS] == [*ATTENTION_BACKENDS]


def test_an_unknown_attention_backend_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'xformers'") as caught:
        known_attention_backend("xformers")
    assert [name for name in ATTENTION_BACKENDS if name not in str(caught.value)] == []


@pytest.mark.parametrize("kind", [CacheConfig, ParallelismConfig, QuantizeConfig])
def test_settings_do_not_change_after_they_are_read(kind: type[Section]):
    section = kind()
    field = next(iter(kind.model_fields))
    with pytest.raises(ValidationError):
        setattr(section, field, getattr(section, field))
