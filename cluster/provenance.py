"""Where each value of a pool's cache settings comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.acceleration import CacheConfig
from cluster.config import ClusterConfig, ModelConfig
from cluster.environment import EnvironmentDefaults
from cluster.pool import PoolConfig
from cluster.tiers import Tier
from cluster.variables import CACHE_KEYS, ENABLED, SCM_PRESET

DEFAULT = "cache-dit's default"


@dataclass(frozen=True)
class Setting:
    """A value and its origin.

    The origin is "file: PATH" (within the pool), "environment: VARIABLE",
    "tier override: TIERS", or `DEFAULT`.
    """

    key: str
    value: Any
    origin: str


@dataclass(frozen=True)
class PoolSettings:
    """The cache settings of a pool in the order of the section's keys, a tier's after the pool's.

    `path` is the pool's in the file. `chosen` is what the environment chose beside the cache:
    the model's `default_tier`, the pool's `tiers`.
    """

    name: str
    path: str
    settings: tuple[Setting, ...]
    chosen: tuple[Setting, ...] = ()

    @property
    def stated(self) -> tuple[Setting, ...]:
        """Those that are somebody's choice and not the built-in default."""
        return tuple(setting for setting in self.settings if setting.origin != DEFAULT)


def cache_settings(
    args: Mapping[str, Any], where: str, defaults: EnvironmentDefaults, config: ClusterConfig
) -> tuple[PoolSettings, ...]:
    """The settings of every pool of a config that was validated from these args and defaults.

    `where` is the path of the args in their file.
    """
    return tuple(
        PoolSettings(
            f"{model.name}/{pool.name}",
            f"{where}.models[{i}].pools[{j}]",
            tuple(_settings(raw["pools"][j].get("cache_config", {}), defaults, pool)),
            tuple(_chosen(raw, raw["pools"][j], defaults, model, pool)),
        )
        for i, (raw, model) in enumerate(zip(args["models"], config.models, strict=True))
        for j, pool in enumerate(model.pools)
    )


def _settings(
    stated: Mapping[str, Any], defaults: EnvironmentDefaults, pool: PoolConfig
) -> list[Setting]:
    spelt = {CacheConfig.old_names.get(key, key): key for key in stated}
    variables = {CACHE_KEYS[name]: name for name in defaults.values if name in CACHE_KEYS}
    settings = []
    for key in CacheConfig.model_fields:
        if key in spelt:
            origin = f"file: cache_config.{spelt[key]}"
        elif key in variables:
            origin = f"environment: {variables[key]}"
        else:
            origin = DEFAULT
        settings.append(Setting(key, getattr(pool.cache_config, key), origin))
        settings += _overrides(key, pool.tiers)
    return settings


def _overrides(key: str, tiers: Mapping[Tier, CacheConfig]) -> list[Setting]:
    """The values that tiers give a key; those of one value together."""
    tiers_of: dict[Any, list[str]] = {}
    for tier, override in tiers.items():
        if key in override.model_fields_set:
            tiers_of.setdefault(getattr(override, key), []).append(tier)
    return [
        Setting(key, value, f"tier override: {', '.join(names)}")
        for value, names in tiers_of.items()
    ]


def _chosen(
    model_args: Mapping[str, Any],
    pool_args: Mapping[str, Any],
    defaults: EnvironmentDefaults,
    model: ModelConfig,
    pool: PoolConfig,
) -> list[Setting]:
    chosen = []
    if defaults.disabled and "tiers" not in pool_args:
        chosen.append(Setting("tiers", tuple(pool.tiers), f"environment: {ENABLED}"))
    applied = defaults.applied_to({"models": [model_args]})["models"][0]
    if "default_tier" in applied and "default_tier" not in model_args:
        preset = defaults.values.get(SCM_PRESET)
        variable = SCM_PRESET if preset == model.default_tier else ENABLED
        chosen.append(Setting("default_tier", model.default_tier, f"environment: {variable}"))
    return chosen
