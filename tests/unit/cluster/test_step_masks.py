"""How many steps a tier computes is known before the picture is made, as a number or a range."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.acceleration import PRESETS, CacheConfig
from cluster.step_masks import StepRange, expected_steps, preset_mask
from cluster.tiers import MASKED_STEPS_MIN, Tier

STATIC = CacheConfig(steps_computation_policy="static")
DYNAMIC = CacheConfig()
WITHOUT_MASK = MASKED_STEPS_MIN - 1

COMPUTED = [
    (8, [7, 6, 5, 4]),
    (20, [15, 12, 8, 5]),
    (28, [18, 15, 11, 8]),
    (50, [38, 29, 20, 14]),
]
"""Steps, and how many of them slow, medium, fast and ultra compute: docs/benchmarks.md for 28 and
50."""

limits = st.builds(
    CacheConfig,
    max_warmup_steps=st.integers(0, 12),
    warmup_interval=st.integers(1, 4),
    max_cached_steps=st.integers(-1, 30),
    max_continuous_cached_steps=st.integers(-1, 6),
    residual_diff_threshold=st.sampled_from([0.0, 0.08, 0.99, 1.0, 2.0]),
    steps_computation_policy=st.sampled_from(["dynamic", "static"]),
)


def cache(**settings: Any) -> CacheConfig:
    return CacheConfig.model_validate(settings)


@pytest.mark.parametrize(("steps", "computed"), COMPUTED)
def test_a_static_tier_computes_just_the_steps_of_its_mask(steps: int, computed: list[int]):
    found = [expected_steps(STATIC, Tier(preset), steps) for preset in PRESETS]
    assert found == [StepRange(count, count) for count in computed]


@pytest.mark.parametrize(("steps", "computed"), COMPUTED)
def test_a_dynamic_tier_computes_from_the_steps_of_its_mask_up_to_all(
    steps: int, computed: list[int]
):
    found = [expected_steps(DYNAMIC, Tier(preset), steps) for preset in PRESETS]
    assert found == [StepRange(count, steps) for count in computed]


def test_the_mask_of_ultra_for_28_steps_is_the_documented_one():
    runs = [(1, 4), (0, 2), (1, 1), (0, 5), (1, 1), (0, 6), (1, 1), (0, 7), (1, 1)]
    assert preset_mask("ultra", 28) == tuple(bit for bit, length in runs for _ in range(length))


@given(limits, st.integers(1, 120))
def test_none_computes_every_step_whatever_the_settings(settings: CacheConfig, steps: int):
    assert expected_steps(settings, Tier.NONE, steps) == StepRange(steps, steps)


@given(limits, st.sampled_from(Tier), st.integers(1, 200))
def test_the_first_step_is_always_computed_and_never_more_than_all(
    settings: CacheConfig, tier: Tier, steps: int
):
    found = expected_steps(settings, tier, steps)
    assert 1 <= found.least <= found.most <= steps


@given(st.integers(MASKED_STEPS_MIN, 300))
def test_a_lower_tier_never_computes_more_steps(steps: int):
    found = [expected_steps(STATIC, tier, steps).most for tier in Tier]
    assert found == sorted(found, reverse=True)


@given(limits, st.integers(1, 6), st.integers(1, 60))
def test_a_stricter_limit_of_steps_in_a_row_never_lets_more_be_cached(
    settings: CacheConfig, in_a_row: int, steps: int
):
    strict, lax = (
        settings.overridden(cache(max_continuous_cached_steps=limit))
        for limit in (in_a_row - 1, in_a_row)
    )
    assert (
        expected_steps(strict, Tier.ULTRA, steps).least
        >= expected_steps(lax, Tier.ULTRA, steps).least
    )


@pytest.mark.parametrize("policy", ["dynamic", "static"])
@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({}, WITHOUT_MASK),
        ({"max_warmup_steps": 4}, 4),
        ({"max_warmup_steps": 0}, 1),
        ({"max_warmup_steps": 4, "warmup_interval": 2}, 2),
        ({"max_warmup_steps": 4, "max_cached_steps": 1}, 6),
        ({"max_warmup_steps": 1, "max_continuous_cached_steps": 2}, 3),
        ({"max_warmup_steps": 1, "residual_diff_threshold": 0.0}, WITHOUT_MASK),
    ],
)
def test_with_too_few_steps_for_a_preset_warm_up_and_limits_say_what_is_computed(
    settings: dict[str, Any], least: int, policy: str
):
    few = cache(**settings, steps_computation_policy=policy)
    assert expected_steps(few, Tier.FAST, WITHOUT_MASK) == StepRange(least, WITHOUT_MASK)


def test_limits_raise_what_a_dynamic_tier_computes_at_least():
    assert expected_steps(cache(max_cached_steps=5), Tier.ULTRA, 28) == StepRange(23, 28)
    assert expected_steps(cache(max_continuous_cached_steps=3), Tier.ULTRA, 28) == StepRange(11, 28)


def test_limits_change_nothing_of_a_static_tier():
    limited = STATIC.overridden(
        cache(max_cached_steps=5, max_continuous_cached_steps=1, residual_diff_threshold=0.0)
    )
    assert expected_steps(limited, Tier.ULTRA, 28) == StepRange(8, 8)


def test_a_threshold_from_1_on_makes_a_dynamic_tier_as_sure_as_a_static_one():
    assert expected_steps(cache(residual_diff_threshold=1.0), Tier.ULTRA, 28) == StepRange(8, 8)


@pytest.mark.parametrize(
    ("mask", "steps", "computed"),
    [
        ({"steps_computation_mask": [1, 0, 1, 0, 0, 0]}, 6, 2),
        ({"steps_computation_mask": [1, 0, 1, 0, 0, 0]}, 5, 3),
        ({"steps_computation_mask": [1, 0, 1, 0, 0, 0]}, 1, 1),
        ({"scm_compute_bins": [6, 1, 1], "scm_cache_bins": [1, 3]}, 12, 8),
        ({"scm_compute_bins": [6, 1, 1], "scm_cache_bins": [1, 3]}, 10, 8),
        ({"steps_computation_mask": "ultra"}, 28, 8),
    ],
)
def test_a_mask_in_the_settings_stands_in_place_of_the_tiers(
    mask: dict[str, Any], steps: int, computed: int
):
    settings = STATIC.overridden(cache(**mask))
    assert expected_steps(settings, Tier.SLOW, steps) == StepRange(computed, computed)


def test_a_job_that_a_mask_given_as_numbers_does_not_cover_counts_as_computed_throughout():
    settings = STATIC.overridden(cache(steps_computation_mask=[1, 0, 1]))
    assert expected_steps(settings, Tier.FAST, 4) == StepRange(4, 4)
