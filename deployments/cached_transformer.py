"""The cache of a transformer for one picture: reset before it, read after it. Imports no Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cache_dit

from cluster.acceleration import CacheConfig
from cluster.errors import InvalidRequest
from cluster.tiers import MASKED_STEPS_MIN, Tier
from deployments.acceleration import db_cache_config, taylorseer_config


@dataclass(frozen=True)
class StepStatistics:
    """What the cache managers counted for one picture."""

    steps_computed: int
    steps_cached: int
    residual_diffs: Mapping[int, float]


def step_mask(cache: CacheConfig, tier: Tier, steps: int) -> tuple[list[int] | None, str | None]:
    """The mask of a tier (1 compute, 0 cache) for `steps` steps, and a note where there is none.

    A mask of the pool's own that is longer is cut, and its last step then computed.

    Raises:
        InvalidRequest: the tier's mask is given as numbers, for fewer steps than these.
    """
    if tier is Tier.NONE:
        return [1] * steps, None
    covered = cache.mask_steps_max()
    if covered is None and steps < MASKED_STEPS_MIN:
        return (
            None,
            f"no step mask under {MASKED_STEPS_MIN} steps: "
            f"DBCache alone decides which of the {steps} steps are cached",
        )
    if covered is None:
        return cache_dit.steps_mask(total_steps=steps, mask_policy=cache.preset_for(tier)), None
    if steps > covered:
        raise InvalidRequest(
            f"num_inference_steps: tier {tier} has a step mask of its own here, "
            f"for at most {covered} steps, not {steps}",
            param="num_inference_steps",
        )
    if isinstance(cache.steps_computation_mask, tuple):
        mask = list(cache.steps_computation_mask[:steps])
    else:
        mask = cache_dit.steps_mask(
            compute_bins=list(cache.scm_compute_bins or ()),
            cache_bins=list(cache.scm_cache_bins or ()),
            total_steps=steps,
        )
    if steps < covered:
        mask[-1] = 1
    return mask, None


class CachedTransformer:
    """A transformer with cache-dit's blocks inside, as `accelerate` leaves it."""

    def __init__(self, transformer: Any) -> None:
        self.module = transformer
        kwargs = transformer._context_kwargs
        self.separate_cfg_by_default = bool(kwargs["cache_config"].enable_separate_cfg)

    def reset(
        self,
        cache: CacheConfig,
        tier: Tier,
        mask: list[int] | None,
        steps: int,
        *,
        separate_cfg: bool,
    ) -> None:
        """Prepares every cache context for one picture, with nothing left of the last.

        `steps` are those of this transformer alone, and the mask is theirs.
        """
        calibrator = None
        if cache.enable_taylorseer and tier is not Tier.NONE:
            calibrator = taylorseer_config(cache)
        for name in self.module._context_names:
            self.module._context_manager.reset_context(
                name,
                cache_config=db_cache_config(cache, mask, steps, separate_cfg),
                calibrator_config=calibrator,
            )

    def statistics(self, steps: int) -> StepStatistics:
        """What was counted since the last `reset`.

        A step is cached when every list of blocks of it was, in both of its calls where guidance
        makes two. The residual differences are those of the first list, with the prompt.
        """
        contexts = [
            self.module._context_manager._cached_context_manager[name]
            for name in self.module._context_names
        ]
        cached = set(range(steps))
        for context in contexts:
            cached &= set(context.cached_steps)
            if context.cache_config.enable_separate_cfg:
                cached &= set(context.cfg_cached_steps)
        diffs = {int(step): float(diff) for step, diff in contexts[0].residual_diffs.items()}
        return StepStatistics(steps - len(cached), len(cached), diffs)


def shares_of_steps(pipeline: Any, steps: int, transformers: int) -> tuple[int, ...]:
    """How many of the steps each transformer does.

    Where there are two (Wan 2.2), the first does those of much noise: the timesteps at or above
    `boundary_ratio` of all that the scheduler was trained on.
    """
    if transformers == 1:
        return (steps,)
    scheduler = pipeline.scheduler
    scheduler.set_timesteps(steps)
    boundary = pipeline.config.boundary_ratio * scheduler.config.num_train_timesteps
    first = sum(float(timestep) >= boundary for timestep in scheduler.timesteps)
    return first, steps - first
