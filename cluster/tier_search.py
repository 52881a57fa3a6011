"""Which cache settings a tier should have: a grid, and the fastest that are faithful enough.

A tier is a name for a bar of faithfulness, so its step mask is searched as well: the settings of a
tier are the fastest of the whole grid whose PSNR against `none` reaches the bar. As the bars fall
from tier to tier, the speeds can only rise, and the order of the tiers holds by construction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from cluster.acceleration import PRESETS, CacheConfig
from cluster.measured_tiers import MeasuredTier
from cluster.tiers import Tier

WANTED_PSNR_DB = {Tier.SLOW: 50.0, Tier.MEDIUM: 45.0, Tier.FAST: 40.0, Tier.ULTRA: 35.0}
"""The bars where none are given. From 50 dB on the eye finds no difference in pictures of 8 bits,
at 35 dB it does in details; what a use can bear is for its owner to say."""

FN_BLOCKS = (1, 8)
THRESHOLDS = (0.08, 0.16, 0.32)
TAYLOR_ORDERS = (None, 1, 2)
"""None is no TaylorSeer: the last residual is repeated."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The settings for a tier and what they were measured to give; no row where none will do."""

    tier: Tier
    wanted_psnr_db: float
    cache: CacheConfig | None
    row: MeasuredTier | None


def grid() -> tuple[CacheConfig, ...]:
    """Settings to try, 48 in all.

    Each mask with each number of Fn blocks and order of TaylorSeer, under the policy `static`; and
    under `dynamic`, which alone looks at the threshold, with each threshold and the first order.
    """
    static = [
        _settings(mask, Fn_compute_blocks=blocks, steps_computation_policy="static", order=order)
        for mask, blocks, order in product(PRESETS, FN_BLOCKS, TAYLOR_ORDERS)
    ]
    dynamic = [
        _settings(mask, Fn_compute_blocks=blocks, residual_diff_threshold=threshold, order=1)
        for mask, blocks, threshold in product(PRESETS, FN_BLOCKS, THRESHOLDS)
    ]
    return (*static, *dynamic)


def proposals(
    trials: Iterable[tuple[CacheConfig, MeasuredTier]], wanted_psnr_db: Mapping[Tier, float]
) -> tuple[Proposal, ...]:
    """One per tier that has a bar, best tier first.

    Raises:
        ValueError: a bar is higher than that of a better tier.
    """
    known = list(trials)
    found: list[Proposal] = []
    for tier in sorted(wanted_psnr_db, key=lambda tier: tier.rank):
        bar = wanted_psnr_db[tier]
        if found and bar > found[-1].wanted_psnr_db:
            raise ValueError(
                f"{tier} is to be more faithful ({bar:g} dB) than {found[-1].tier} "
                f"({found[-1].wanted_psnr_db:g} dB)"
            )
        good = [(cache, row) for cache, row in known if row.psnr_db is None or row.psnr_db >= bar]
        cache, row = max(good, key=lambda trial: trial[1].speed_up, default=(None, None))
        found.append(Proposal(tier, bar, cache, row))
    return tuple(found)


def tiers_section(found: Sequence[Proposal]) -> dict[str, Any]:
    """The `tiers` of a pool as its config takes them; those without settings are left out.

    The bar of a tier becomes its contract.
    """
    tiers: dict[str, Any] = {str(Tier.NONE): {}}
    for each in found:
        if each.cache is not None:
            tiers[str(each.tier)] = {
                "cache_config": each.cache.model_dump(mode="json", exclude_unset=True),
                "min_psnr_db": each.wanted_psnr_db,
            }
    return tiers


def _settings(mask: str, order: int | None, **settings: Any) -> CacheConfig:
    taylor: dict[str, Any] = {"enable_taylorseer": order is not None}
    if order is not None:
        taylor |= {"taylorseer_order": order}
    policy = {"steps_computation_policy": "dynamic"}
    return CacheConfig.model_validate({"steps_computation_mask": mask} | policy | settings | taylor)
