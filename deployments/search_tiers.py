"""`dit-serve calibrate --search`: which cache settings of a grid a pool's tiers should have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import yaml

from cluster.acceleration import CacheConfig
from cluster.errors import ConfigError
from cluster.measured_tiers import MeasuredTier, Platform
from cluster.pool import PoolConfig
from cluster.tier_search import (
    WANTED_PSNR_DB,
    Proposal,
    proposals,
    tiers_section,
)
from cluster.tiers import Tier
from deployments.calibration_plan import Arm, Work


def search_arms(pool: PoolConfig, settings: Sequence[CacheConfig]) -> tuple[Arm, ...]:
    """`none` and an arm per setting, over the pool's own `cache_config`.

    The settings name their step mask, so it is all the same in which tier they run.
    """
    none = Arm(str(Tier.NONE), Tier.NONE, pool.cache_config)
    others = (
        Arm(in_words(each), Tier.ULTRA, pool.cache_config.overridden(each)) for each in settings
    )
    return none, *others


def in_words(cache: CacheConfig) -> str:
    """The settings that are stated, in one line."""
    stated = cache.model_dump(mode="json", exclude_unset=True)
    return ", ".join(f"{key}: {value}" for key, value in stated.items())


def read_wanted(texts: Iterable[str]) -> Mapping[Tier, float]:
    """The bars of `TIER=DB` over those where none is given.

    Raises:
        ConfigError: no tier, no number, or a bar higher than that of a better tier.
    """
    wanted = dict(WANTED_PSNR_DB)
    for text in texts:
        name, _, number = text.partition("=")
        try:
            wanted[Tier(name)] = float(number)
        except ValueError as error:
            raise ConfigError(f"--want-psnr: {text!r} is not TIER=DB, such as fast=40") from error
        if Tier(name) is Tier.NONE:
            raise ConfigError("--want-psnr: none is what the others are measured against")
    try:
        proposals((), wanted)
    except ValueError as error:
        raise ConfigError(f"--want-psnr: {error}") from error
    return wanted


def fragment(found: Sequence[Proposal], work: Work, platform: Platform) -> str:
    """YAML of the pool's `tiers`, with what each was measured to give in comments before it."""
    job = work.jobs[0]
    head = (
        f"# {work.model.name}/{work.pool.name}, {job.width}x{job.height}, "
        f"{job.num_inference_steps} steps, on {platform.device}"
    )
    rows = [
        f"# {each.tier}, at least {each.wanted_psnr_db:g} dB: {_told(each.row)}" for each in found
    ]
    body = yaml.safe_dump({"tiers": tiers_section(found)}, sort_keys=False)
    return "\n".join((head, *rows, body))


def _told(row: MeasuredTier | None) -> str:
    if row is None:
        return "nothing in the grid is as faithful"
    psnr = "equal" if row.psnr_db is None else f"{row.psnr_db:.1f} dB"
    return f"{row.speed_up:.2f}x, {psnr}, SSIM {row.ssim:.4f}"
