"""The only place that builds cache-dit and torchao objects.

Enable once, reset before every picture, read afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cache_dit
import torch

from cluster.acceleration import CacheConfig, QuantizeConfig
from cluster.errors import ConfigError, InvalidRequest
from cluster.tiers import MASKED_STEPS_MIN, Tier
from deployments.engine import EngineSpec

_OURS = {
    "enable_taylorseer",
    "taylorseer_order",
    "steps_computation_mask",
    "scm_compute_bins",
    "scm_cache_bins",
}


@dataclass(frozen=True)
class StepStatistics:
    """What the cache manager counted for one picture."""

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
    if steps < MASKED_STEPS_MIN:
        return (
            None,
            f"no step mask under {MASKED_STEPS_MIN} steps: "
            f"DBCache alone decides which of the {steps} steps are cached",
        )
    covered = cache.mask_steps_max()
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
    """A transformer with cache-dit's blocks inside."""

    def __init__(self, transformer: torch.nn.Module, spec: EngineSpec) -> None:
        """Enables the cache, and quantizes where the pool says so.

        Raises:
            ConfigError: cache-dit does not know the transformer's class.
        """
        self._transformer = transformer
        some_tier = next(iter(spec.tiers.values()))
        name = f"{spec.source}: cache-dit {cache_dit.__version__} and {type(transformer).__name__}"
        try:
            cache_dit.enable_cache(
                transformer,
                cache_config=_db_cache_config(some_tier, None, None, some_tier.enable_separate_cfg),
                attention_backend=spec.attention_backend,
                quantize_config=_quantize_config(spec.quantize_config),
            )
        except (ValueError, AssertionError) as error:
            raise ConfigError(f"{name}: {error}") from error
        if not getattr(transformer, "_context_names", None):
            raise ConfigError(f"{name}: it knows no cache for this class")
        self.separate_cfg_by_default = bool(
            transformer._context_kwargs["cache_config"].enable_separate_cfg
        )

    def reset(
        self, cache: CacheConfig, tier: Tier, steps: int, *, separate_cfg: bool
    ) -> str | None:
        """Prepares every cache context for one picture, with nothing left of the last.

        Returns a note where something is done otherwise than the tier's name suggests.
        """
        mask, note = step_mask(cache, tier, steps)
        calibrator = None
        if cache.enable_taylorseer and tier is not Tier.NONE:
            calibrator = cache_dit.TaylorSeerCalibratorConfig(
                enable_calibrator=True,
                enable_encoder_calibrator=False,
                taylorseer_order=cache.taylorseer_order,
            )
        for name in self._transformer._context_names:
            self._transformer._context_manager.reset_context(
                name,
                cache_config=_db_cache_config(cache, mask, steps, separate_cfg),
                calibrator_config=calibrator,
            )
        return note

    def statistics(self, steps: int) -> StepStatistics:
        """What was counted since the last `reset`.

        A step is cached when every list of blocks of it was, in both of its calls where guidance
        makes two. The residual differences are those of the first list, with the prompt.
        """
        contexts = [
            self._transformer._context_manager._cached_context_manager[name]
            for name in self._transformer._context_names
        ]
        cached = set(range(steps))
        for context in contexts:
            cached &= set(context.cached_steps)
            if context.cache_config.enable_separate_cfg:
                cached &= set(context.cfg_cached_steps)
        diffs = {int(step): float(diff) for step, diff in contexts[0].residual_diffs.items()}
        return StepStatistics(steps - len(cached), len(cached), diffs)


def _db_cache_config(
    cache: CacheConfig, mask: list[int] | None, steps: int | None, separate_cfg: bool | None
) -> cache_dit.DBCacheConfig:
    settings: dict[str, Any] = cache.model_dump(exclude=_OURS)
    settings |= {
        "num_inference_steps": steps,
        "steps_computation_mask": mask,
        "enable_separate_cfg": separate_cfg,
    }
    return cache_dit.DBCacheConfig(**settings)


def _quantize_config(quantize: QuantizeConfig | None) -> cache_dit.QuantizeConfig | None:
    if quantize is None:
        return None
    return cache_dit.QuantizeConfig(
        quant_type=quantize.quant_type,
        exclude_layers=list(quantize.exclude_layers),
        verbose=quantize.verbose,
    )
