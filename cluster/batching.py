"""Which pictures of a job are made together, in one call of the pipeline. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.acceleration import CacheConfig
from cluster.step_masks import step_mask
from cluster.tiers import MASKED_STEPS_MIN, Tier


@dataclass(frozen=True, slots=True)
class Batches:
    """How many pictures each call makes, in the order of the seeds, and why."""

    sizes: tuple[int, ...]
    reason: str

    @property
    def note(self) -> str | None:
        """For the receipt of a job of several pictures.

        Of a batch it says that its pictures may differ from those made alone: kernels round
        otherwise at another batch size (measured in `tests/engine/test_batches.py`).
        """
        pictures = sum(self.sizes)
        if pictures == 1:
            return None
        if len(self.sizes) == pictures:
            how = "one after another"
        elif len(self.sizes) == 1:
            how = "in one batch"
        else:
            how = f"in batches of {_listed(self.sizes)}"
        note = f"{pictures} pictures {how}: {self.reason}"
        if len(self.sizes) == pictures:
            return note
        return f"{note}; the last bits may differ from those of pictures made alone"


def batches(
    pictures: int,
    cache: CacheConfig,
    tier: Tier,
    steps: int,
    max_batch: int,
    *,
    takes_several: bool = True,
) -> Batches:
    """How a job of so many pictures is divided; `cache` has the tier's own settings in it.

    Picture k must be the one that its seed gives alone, so only pictures that cannot decide for
    each other are made together. `takes_several` says whether the pipeline makes more than one.
    """
    apart = (1,) * pictures
    if not takes_several:
        return Batches(apart, "its pipeline makes one at a time")
    together, reason = independent_of_mates(cache, tier, steps)
    if not together:
        return Batches(apart, reason)
    if max_batch == 1:
        return Batches(apart, "max_batch is 1")
    whole, rest = divmod(pictures, max_batch)
    return Batches((max_batch,) * whole + ((rest,) if rest else ()), reason)


def independent_of_mates(cache: CacheConfig, tier: Tier, steps: int) -> tuple[bool, str]:
    """Whether a picture is the same whatever else is in its batch, and why.

    Where DBCache looks at residuals to decide about a step, it takes the mean over the batch
    (`similarity` in cache-dit's `caching/cache_contexts/cache_manager.py`). It does not look where
    every step is computed, nor where a `static` mask says which are. TaylorSeer extrapolates each
    element by itself.
    """
    if tier is Tier.NONE:
        return True, "tier none computes every step"
    if step_mask(cache, tier, steps) is None:
        return False, (
            f"under {MASKED_STEPS_MIN} steps there is no mask, and the pictures of a batch would "
            "decide together which steps are cached"
        )
    if cache.steps_computation_policy != "static":
        return False, (
            "with steps_computation_policy dynamic the pictures of a batch would decide together "
            "which steps are cached"
        )
    return True, "the step mask alone says which steps are cached"


def largest_batch(tiers: Mapping[Tier, CacheConfig], max_batch: int, max_images: int) -> int:
    """The most pictures that a pool ever makes in one call."""
    together = any(
        independent_of_mates(cache, tier, cache.mask_steps_max() or MASKED_STEPS_MIN)[0]
        for tier, cache in tiers.items()
    )
    return min(max_batch, max_images) if together else 1


def _listed(sizes: tuple[int, ...]) -> str:
    *others, last = map(str, sizes)
    return f"{', '.join(others)} and {last}"
