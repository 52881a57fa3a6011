"""Our settings against the installed cache-dit: its fields, defaults, presets and names."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, get_args

import cache_dit
import pytest
import yaml
from cache_dit.attention.backends.register import _AttnBackend
from cache_dit.quantization.torchao.quantize_ao import _ALLOWED_QUANTIZE_TYPES

from cluster.acceleration import (
    ATTENTION_BACKENDS,
    PRESETS,
    CacheConfig,
    ParallelismConfig,
    QuantizeConfig,
)
from cluster.sections import Section
from cluster.tiers import MASKED_STEPS_MIN

OURS_ALONE = {"enable_taylorseer", "taylorseer_order", "scm_compute_bins", "scm_cache_bins"}
"""Keys of a cache section that cache-dit keeps elsewhere than in `DBCacheConfig`."""
THEIRS_ALONE = {
    "cache_type",
    "cfg_compute_first",
    "cfg_diff_compute_separate",
    "force_refresh_step_hint",
    "force_refresh_step_policy",
}
"""Fields of `DBCacheConfig` that we do not offer."""

SHARES = [
    (28, [0.643, 0.536, 0.393, 0.286]),
    (50, [0.76, 0.58, 0.40, 0.28]),
    (20, [0.75, 0.60, 0.40, 0.25]),
    (8, [0.875, 0.75, 0.625, 0.50]),
]
"""Steps, and the share of them that slow, medium, fast and ultra compute: FACTS.md section 1."""


def fields_of(kind: type) -> set[str]:
    return {field.name for field in fields(kind) if not field.name.startswith("_")}


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def defaults(section: Section, keys: set[str]) -> dict[str, Any]:
    return {key: plain(getattr(section, key)) for key in sorted(keys)}


def test_every_cache_setting_is_cache_dits_or_known_to_be_ours_alone():
    ours, theirs = set(CacheConfig.model_fields), fields_of(cache_dit.DBCacheConfig)
    assert ours - theirs == OURS_ALONE
    assert theirs - ours == THEIRS_ALONE


def test_the_cache_defaults_are_cache_dits():
    shared = set(CacheConfig.model_fields) - OURS_ALONE
    theirs = cache_dit.DBCacheConfig()
    assert defaults(CacheConfig(), shared) == {key: getattr(theirs, key) for key in sorted(shared)}


def test_the_taylorseer_order_is_cache_dits_by_default():
    order = cache_dit.TaylorSeerCalibratorConfig().taylorseer_order
    assert CacheConfig().taylorseer_order == order


def test_the_parallelism_settings_and_their_defaults_are_cache_dits():
    ours = set(ParallelismConfig.model_fields)
    assert ours - fields_of(cache_dit.ParallelismConfig) == set()
    assert defaults(ParallelismConfig(), ours) == {
        field.name: field.default_factory() if field.default is MISSING else field.default
        for field in sorted(fields(cache_dit.ParallelismConfig), key=lambda field: field.name)
        if field.name in ours
    }


def test_the_quantize_settings_and_their_defaults_are_cache_dits():
    ours, theirs = set(QuantizeConfig.model_fields), cache_dit.QuantizeConfig()
    assert ours - fields_of(cache_dit.QuantizeConfig) == set()
    assert defaults(QuantizeConfig(), ours) == {key: getattr(theirs, key) for key in sorted(ours)}


def test_cache_dit_reads_the_same_from_a_users_yaml_as_we_do():
    document = yaml.safe_load("""
        cache_config:
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
          enable_separate_cfg: true
        parallelism_config: {ulysses_size: 2, attention_backend: native, ulysses_anything: true}
        quantize_config: {quant_type: int8_weight_only, exclude_layers: [embed], verbose: true}
        """)
    theirs = cache_dit.load_configs(document)
    for ours, section in (
        (CacheConfig.model_validate(document["cache_config"]), "cache_config"),
        (ParallelismConfig.model_validate(document["parallelism_config"]), "parallelism_config"),
        (QuantizeConfig.model_validate(document["quantize_config"]), "quantize_config"),
    ):
        stated = ours.model_fields_set - OURS_ALONE
        assert defaults(ours, stated) == {
            key: getattr(theirs[section], key) for key in sorted(stated)
        }
    assert theirs["calibrator_config"].taylorseer_order == 2


def test_cache_dit_still_drops_the_misspelling_that_we_translate():
    theirs = cache_dit.load_configs({"cache_config": {"enable_sperate_cfg": True}})
    assert theirs["cache_config"].enable_separate_cfg is None
    assert CacheConfig.model_validate({"enable_sperate_cfg": True}).enable_separate_cfg is True


@pytest.mark.parametrize(("steps", "shares"), SHARES)
def test_every_preset_computes_the_documented_share_of_steps(steps: int, shares: list[float]):
    masks = [cache_dit.steps_mask(total_steps=steps, mask_policy=name) for name in PRESETS]
    assert PRESETS == ("slow", "medium", "fast", "ultra")
    assert [sum(mask) / steps for mask in masks] == pytest.approx(shares, abs=0.0005)


def test_cache_dit_knows_no_other_preset():
    with pytest.raises(ValueError, match="none") as caught:
        cache_dit.steps_mask(total_steps=28, mask_policy="none")
    assert str([*PRESETS]) in str(caught.value)


def test_a_mask_covers_its_steps_and_computes_the_first_and_the_last():
    for steps in range(MASKED_STEPS_MIN, 101):
        for name in PRESETS:
            mask = cache_dit.steps_mask(total_steps=steps, mask_policy=name)
            assert (len(mask), mask[0], mask[-1]) == (steps, 1, 1), (steps, name)
            assert set(mask) <= {0, 1}


def test_a_lower_tier_never_computes_more_steps():
    for steps in range(MASKED_STEPS_MIN, 101):
        counts = [
            sum(cache_dit.steps_mask(total_steps=steps, mask_policy=name)) for name in PRESETS
        ]
        assert counts == sorted(counts, reverse=True), steps


def test_presets_begin_at_the_steps_where_we_begin_to_use_them():
    unknown = [1, 2, 3, 5, 7]
    assert MASKED_STEPS_MIN == 8
    for steps in unknown:
        with pytest.raises(AssertionError):
            cache_dit.steps_mask(total_steps=steps, mask_policy="medium")


def test_bins_make_a_mask_as_long_as_they_sum_to():
    cache = CacheConfig.model_validate({"scm_compute_bins": [6, 1, 1], "scm_cache_bins": [1, 3]})
    mask = cache_dit.steps_mask(
        compute_bins=[*cache.scm_compute_bins],
        cache_bins=[*cache.scm_cache_bins],
        total_steps=cache.mask_steps_max(),
    )
    assert mask == [1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 1]


def test_our_quant_types_are_all_known_to_cache_dit():
    ours = get_args(QuantizeConfig.model_fields["quant_type"].annotation)
    assert set(ours) - set(_ALLOWED_QUANTIZE_TYPES) == set()


def test_the_old_quant_types_are_unknown_to_cache_dit_and_their_new_names_known():
    old_types = QuantizeConfig.old_types
    assert old_types.keys() & set(_ALLOWED_QUANTIZE_TYPES) == set()
    assert set(old_types.values()) - set(_ALLOWED_QUANTIZE_TYPES) == set()


def test_our_attention_backends_are_cache_dits():
    assert sorted(ATTENTION_BACKENDS) == sorted(backend.value for backend in _AttnBackend)


def test_what_is_mended_for_cpu_is_still_there():
    """`deployments.cpu_acceleration` puts its own in the place of these."""
    import importlib

    mended = {
        "attention.backends.native": [
            "_native_attention_forward_op",
            "_context_parallel_attention",
        ],
        "distributed.core._templated_ring": ["fused_merge_attn_states"],
        "distributed.core._context_parallel": ["_all_gather_anything", "_gather_size"],
        "distributed.autoencoders.register": ["AutoEncoderDataParallelismPlanner"],
        "distributed.text_encoders.register": ["TextEncoderTensorParallelismPlanner"],
        "distributed.transformers.register": ["TensorParallelismPlanner"],
        "distributed.transformers.wan": ["DistributedRMSNorm"],
        "quantization.torchao.quantize_ao": ["current_platform", "_check_if_module_can_quantized"],
    }
    for module, names in mended.items():
        found = importlib.import_module(f"cache_dit.{module}")
        assert [name for name in names if not hasattr(found, name)] == [], module
    gathers = importlib.import_module("torch.distributed._functional_collectives")
    assert hasattr(gathers, "all_gather_single")
    assert hasattr(gathers, "AsyncCollectiveTensor")


def test_the_mends_of_cache_dit_are_still_needed():
    """When one of these fails, cache-dit has it right: take the mend out."""
    import inspect

    from cache_dit.distributed.core import _templated_ring
    from cache_dit.distributed.transformers import dispatch, qwen_image

    planner = inspect.getsource(qwen_image.QwenImageTensorParallelismPlanner)
    assert "inner_dim" not in planner
    assert "supported_planners()[0] == 0" in inspect.getsource(dispatch)
    ring = inspect.getsource(_templated_ring.RingAttention.forward)
    assert "attn_mask is not None" not in ring.split("send_recv_kv")[0]


def test_cache_dit_says_what_the_engine_reads_in_its_errors():
    import inspect

    from cache_dit.distributed.core import _context_parallel

    source = inspect.getsource(_context_parallel._EquipartitionSharder)
    assert "must be divisible by mesh size" in source
