"""The steps that we expect a tier to compute, against the installed cache-dit and our engine."""

from __future__ import annotations

from typing import Any

import cache_dit
import pytest
import torch
from cache_dit.caching.cache_contexts.cache_manager import CachedContextManager

from cluster.acceleration import PRESETS, CacheConfig
from cluster.step_masks import StepRange, expected_steps, preset_mask
from cluster.tiers import MASKED_STEPS_MIN, Tier
from deployments.acceleration import db_cache_config
from deployments.cached_transformer import step_mask

OWN_MASKS = [
    {"steps_computation_mask": [1, 0, 1, 0, 0, 1, 0, 1]},
    {"steps_computation_mask": [1, 0, 0, 0]},
    {"scm_compute_bins": [6, 1, 1], "scm_cache_bins": [1, 3]},
    {"scm_compute_bins": [2, 1], "scm_cache_bins": [1, 3, 2]},
    {"scm_compute_bins": [2, 1, 4], "scm_cache_bins": [5]},
]
LIMITS = [
    {},
    {"max_warmup_steps": 0},
    {"max_warmup_steps": 3},
    {"max_warmup_steps": 6, "warmup_interval": 2},
    {"max_warmup_steps": 1, "max_cached_steps": 3},
    {"max_warmup_steps": 2, "max_continuous_cached_steps": 1},
    {"max_warmup_steps": 2, "max_continuous_cached_steps": 2, "max_cached_steps": 9},
    {"max_continuous_cached_steps": 0},
    {"max_cached_steps": 0},
    {"residual_diff_threshold": 0.0},
    {"residual_diff_threshold": 1.0, "max_warmup_steps": 2, "max_continuous_cached_steps": 3},
]
SETTINGS = [
    limits | {"steps_computation_policy": policy}
    for limits in LIMITS
    for policy in ("dynamic", "static")
]


def computed_by_cache_dit(cache: CacheConfig, tier: Tier, steps: int, *, alike: bool) -> int:
    """Steps that cache-dit computes, as our engine sets it up, of residuals alike or unlike."""
    mask, _ = step_mask(cache, tier, steps)
    manager = CachedContextManager(name="picture")
    manager.new_context(name="blocks", cache_config=db_cache_config(cache, mask, steps, False))
    manager.set_context("blocks")
    computed = 0
    for step in range(steps):
        residual = torch.ones(1, 2, 2) * (1 if alike else 10.0**step)
        manager.mark_step_begin()
        if manager.can_cache(residual, prefix="Fn_residual"):
            manager.add_cached_step()
        else:
            manager.set_Fn_buffer(residual, prefix="Fn_residual")
            computed += 1
    return computed


def range_in_cache_dit(cache: CacheConfig, tier: Tier, steps: int) -> StepRange:
    return StepRange(
        computed_by_cache_dit(cache, tier, steps, alike=True),
        computed_by_cache_dit(cache, tier, steps, alike=False),
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_the_mask_of_a_preset_is_cache_dits_for_any_number_of_steps(preset: str):
    for steps in range(MASKED_STEPS_MIN, 1001):
        theirs = cache_dit.steps_mask(total_steps=steps, mask_policy=preset)
        assert preset_mask(preset, steps) == tuple(theirs), steps


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("tier", Tier)
def test_cache_dit_computes_the_least_of_like_residuals_and_the_most_of_unlike_ones(
    tier: Tier, settings: dict[str, Any]
):
    cache = CacheConfig.model_validate(settings)
    for steps in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 20, 28, 29, 35):
        assert expected_steps(cache, tier, steps) == range_in_cache_dit(cache, tier, steps), steps


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("mask", OWN_MASKS, ids=str)
def test_a_mask_of_the_users_own_is_the_engines_for_all_steps_that_it_covers(
    mask: dict[str, Any], settings: dict[str, Any]
):
    cache = CacheConfig.model_validate(settings | mask)
    for steps in range(1, (cache.mask_steps_max() or 0) + 1):
        found = expected_steps(cache, Tier.FAST, steps)
        assert found == range_in_cache_dit(cache, Tier.FAST, steps), steps


@pytest.mark.parametrize("named", PRESETS)
def test_a_preset_named_in_the_settings_is_the_engines_mask_in_every_tier(named: str):
    cache = CacheConfig(steps_computation_mask=named, steps_computation_policy="static")
    for tier in Tier:
        for steps in (8, 14, 28, 50):
            mask, _ = step_mask(cache, tier, steps)
            assert mask is not None
            assert expected_steps(cache, tier, steps) == StepRange(sum(mask), sum(mask))
