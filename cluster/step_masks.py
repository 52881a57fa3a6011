"""How many steps of a picture a tier computes, as far as its settings alone decide it.

Pure: what cache-dit does at run time, said beforehand. Read in cache-dit 1.5.3, and held against
the installed one by `tests/contract`:

* `steps_mask` in `caching/cache_interface.py`: the bins of the presets, how they grow and are cut;
* `CachedContext.warmup_steps` and `CachedContextManager.can_cache` in `caching/cache_contexts`: a
  step with a 1 is always computed. With the policy `static` one with a 0 is always cached, whatever
  the limits and the threshold say. With `dynamic`, or without a mask, it may be cached as long as
  the limits allow and the residual differs by less than the threshold: never at a threshold of 0,
  always from 1 on. Without a mask the warm-up steps are those that are always computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle, groupby, zip_longest

from cluster.acceleration import CacheConfig
from cluster.tiers import MASKED_STEPS_MIN, Tier

Bins = tuple[tuple[int, ...], tuple[int, ...]]
"""Lengths of the runs of computed steps, and of the runs of cached ones between them."""

PRESET_BINS: dict[int, dict[str, Bins]] = {
    8: {
        "slow": ((5, 1, 1), (1,)),
        "medium": ((4, 1, 1), (1, 1)),
        "fast": ((3, 1, 1), (1, 2)),
        "ultra": ((2, 1, 1), (2, 2)),
    },
    9: {
        "slow": ((5, 2, 1), (1,)),
        "medium": ((5, 1, 1), (1, 1)),
        "fast": ((4, 1, 1), (1, 2)),
        "ultra": ((3, 1, 1), (2, 2)),
    },
    10: {
        "slow": ((4, 2, 2, 2, 1), (1, 1, 1, 1)),
        "medium": ((4, 2, 1, 1, 1), (1, 1, 2, 2)),
        "fast": ((3, 1, 1, 1, 1), (1, 2, 2, 3)),
        "ultra": ((2, 1, 1, 1, 1), (1, 2, 3, 3)),
    },
    16: {
        "slow": ((8, 3, 3, 2, 1, 1), (1, 2, 2, 2, 3)),
        "medium": ((6, 2, 2, 2, 2, 1), (1, 3, 3, 3, 3)),
        "fast": ((6, 1, 1, 1, 1, 1), (1, 3, 4, 5, 4)),
        "ultra": ((4, 1, 1, 1, 1), (2, 5, 6, 7)),
    },
}
"""The bins of each preset, by the fewest steps from which they are used."""

FULL_BINS_STEPS = 28
"""Steps that the bins for 16 and more cover as they stand; for more they grow."""


@dataclass(frozen=True, slots=True)
class StepRange:
    """Steps of one picture that will be computed, from `least` to `most`; the rest is cached."""

    least: int
    most: int


def expected_steps(cache: CacheConfig, tier: Tier, num_inference_steps: int) -> StepRange:
    """The computed steps of one picture; `cache` has the tier's own settings in it already.

    Known exactly for `none`, for a `static` mask, and for a threshold of 0 or at least 1. Otherwise
    the pictures decide, from what the mask (or without one the warm-up) and the limits leave to
    the cache up to all steps. A mask given as numbers for fewer steps than these counts as none
    that could save any: the engine refuses such a job.

    A pipeline of two transformers (Wan 2.2) divides the steps between them and applies warm-up and
    limits to each; it computes the first step of the second as well, which is up to one more.
    """
    mask = step_mask(cache, tier, num_inference_steps)
    if mask is not None and cache.steps_computation_policy == "static":
        return StepRange(sum(mask), sum(mask))
    if mask is None:
        mask = _warm_up_mask(cache, num_inference_steps)
    least = num_inference_steps - _cached_at_most(cache, mask)
    always_alike = cache.residual_diff_threshold >= 1
    return StepRange(least, least if always_alike else num_inference_steps)


def step_mask(cache: CacheConfig, tier: Tier, num_inference_steps: int) -> tuple[int, ...] | None:
    """The mask of a tier: 1 for a step to compute, 0 for one that may be cached.

    None where no preset makes one, for fewer steps than `MASKED_STEPS_MIN`. A mask given as numbers
    or bins that is longer is cut, and its last step then computed.
    """
    covered = cache.mask_steps_max()
    if tier is Tier.NONE or (covered is not None and covered < num_inference_steps):
        return (1,) * num_inference_steps
    if covered is None:
        if num_inference_steps < MASKED_STEPS_MIN:
            return None
        return preset_mask(cache.preset_for(tier), num_inference_steps)
    if isinstance(cache.steps_computation_mask, tuple):
        mask = cache.steps_computation_mask
    else:
        mask = _interleaved(cache.scm_compute_bins or (), cache.scm_cache_bins or ())
    return mask if covered == num_inference_steps else (*mask[: num_inference_steps - 1], 1)


@lru_cache(maxsize=1024)
def preset_mask(preset: str, num_inference_steps: int) -> tuple[int, ...]:
    """The mask of a preset (`slow`, `medium`, `fast`, `ultra`) for at least 8 steps."""
    first = max(steps for steps in PRESET_BINS if steps <= num_inference_steps)
    computed, cached = map(list, PRESET_BINS[first][preset])
    if num_inference_steps > FULL_BINS_STEPS:
        _grow(computed, cached, num_inference_steps)
    _cut(computed, cached, num_inference_steps)
    return (*_interleaved(computed, cached)[:-1], 1)


def _grow(computed: list[int], cached: list[int], steps: int) -> None:
    """Lengthens the bins one by one, in rounds, until they cover the steps.

    Each time a bin grows by half of what would keep its share of the steps, and at least by one;
    the last run of computed steps, which has no cached one behind it, by one. The half is rounded
    as cache-dit rounds it, in floating point: whole numbers differ from it at 488 steps.
    """
    growth = [
        (bins, index, max(1, int(bins[index] * (steps / FULL_BINS_STEPS * 0.5))))
        for index in range(len(cached))
        for bins in (computed, cached)
    ]
    for bins, index, more in cycle([*growth, (computed, -1, 1)]):
        bins[index] += more
        if sum(computed) + sum(cached) >= steps:
            return


def _cut(computed: list[int], cached: list[int], steps: int) -> None:
    """Shortens the last bin of each kind in turn, cached first, until they cover just the steps."""
    for bins in cycle((cached, computed)):
        if sum(computed) + sum(cached) <= steps:
            return
        if bins:
            bins[-1] -= 1
            if bins[-1] == 0:
                bins.pop()


def _interleaved(
    computed: tuple[int, ...] | list[int], cached: tuple[int, ...] | list[int]
) -> tuple[int, ...]:
    mask: list[int] = []
    for ones, zeros in zip_longest(computed, cached, fillvalue=0):
        mask += [1] * ones + [0] * zeros
    return tuple(mask)


def _warm_up_mask(cache: CacheConfig, steps: int) -> tuple[int, ...]:
    """What is computed in any case without a mask: warm-up, and the first step, cached by none."""
    warm_up = range(0, cache.max_warmup_steps, cache.warmup_interval)
    return tuple(int(step == 0 or step in warm_up) for step in range(steps))


def _cached_at_most(cache: CacheConfig, mask: tuple[int, ...]) -> int:
    """Steps that the limits leave to the cache, if all residuals are alike."""
    if cache.residual_diff_threshold == 0:
        return 0
    runs = [sum(1 for _ in run) for step, run in groupby(mask) if step == 0]
    in_a_row = cache.max_continuous_cached_steps
    if in_a_row >= 0:
        runs = [run - run // (in_a_row + 1) for run in runs]
    cached = sum(runs)
    return cached if cache.max_cached_steps < 0 else min(cached, cache.max_cached_steps)
