"""The arms that are compared, and where the bare ones and our engine are put side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks.bare import (
    CacheDitArm,
    DiffusersArm,
    TimedPipeline,
    count_blocks,
    now,
)
from benchmarks.runs import BARE, Arm, ArmName, Making
from cluster.acceleration import CacheConfig
from cluster.errors import ConfigError
from cluster.job import Job
from cluster.tiers import Tier
from deployments.engine import Engine, EngineSpec, build_engine

STATIC = CacheConfig(steps_computation_policy="static")


@dataclass(frozen=True)
class Arms:
    """Every arm, and what a cached step of a tier still runs of the transformer's blocks."""

    arms: Mapping[ArmName, Arm]
    blocks: int
    blocks_when_cached: Mapping[str, int]


def build_arms(spec: EngineSpec) -> Arms:
    """Loads four pipelines from the spec's source: two bare ones and two engines.

    Where the config's own policy is static for a tier, its `config` arm would repeat the `static`
    one and is left out.

    Raises:
        ConfigError: the source cannot be loaded, or the pool has a setting that the bare arms do
            not have, so that like would not be compared with like.
    """
    for key in ("attention_backend", "quantize_config"):
        if getattr(spec, key) is not None:
            raise ConfigError(
                f"model {spec.model}, pool {spec.pool}: this benchmark compares caching alone; "
                f"its bare arms have no {key}"
            )
    static = replace(
        spec, tiers={tier: cache.overridden(STATIC) for tier, cache in spec.tiers.items()}
    )
    engine, static_engine = build_engine(spec), build_engine(static)
    cached = TimedPipeline(spec, next(iter(static.tiers.values())))
    arms: dict[ArmName, Arm] = {BARE: DiffusersArm(TimedPipeline(spec))}
    for tier, cache in static.tiers.items():
        arms[ArmName("cache-dit", tier.value, "static")] = CacheDitArm(cached, cache, tier)
    for tier in static.tiers:
        arms[ArmName("engine", tier.value, "static")] = EngineArm(static_engine, tier, spec.device)
    for tier, cache in spec.tiers.items():
        if cache.steps_computation_policy != "static":
            arms[ArmName("engine", tier.value, "config")] = EngineArm(engine, tier, spec.device)
    share = {
        tier.value: cached.contexts * (cache.Fn_compute_blocks + cache.Bn_compute_blocks)
        for tier, cache in spec.tiers.items()
    }
    return Arms(arms, count_blocks(cached.pipeline.transformer), share)


class EngineArm:
    """Our engine in a tier; stage times and steps are those that it reports."""

    def __init__(self, engine: Engine, tier: Tier, device: str) -> None:
        self._engine, self._tier, self._device = engine, tier, device

    def make(self, job: Job) -> Making:
        started_s = now(self._device)
        result = self._engine.generate(job, self._tier, lambda done, total: True)
        whole_s = now(self._device) - started_s
        return Making(
            result.images[0],
            result.encode_s,
            result.denoise_s,
            result.decode_s,
            whole_s,
            result.steps_computed,
            result.steps_cached,
        )
