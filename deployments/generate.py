"""A prompt in one tier or all of them, from an engine in this process."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

from cluster.config import ClusterConfig, ModelConfig
from cluster.errors import ConfigError
from cluster.job import Job
from cluster.pool import PoolConfig
from cluster.request import GenerateRequest
from cluster.settling import settle
from cluster.tiers import Tier
from deployments.engine import Engine, EngineResult, build_engine, engine_spec
from deployments.tier_rows import Judge, Made, TierRow, tier_rows


def choose_pool(
    config: ClusterConfig, name: str | None, tier: Tier | None
) -> tuple[ModelConfig, PoolConfig]:
    """The model, the first if no name is given, and its first pool that serves the tier.

    Raises:
        ConfigError: no such model, or no pool of one rank serves the tier.
    """
    model = config.models[0] if name is None else config.model_named(name)
    if model is None:
        names = ", ".join(model.name for model in config.models)
        raise ConfigError(f"no model {name!r} in the config; the models are {names}")
    wanted = tier or model.default_tier
    pools = [pool for pool in model.pools if wanted in pool.tiers]
    for pool in pools:
        if pool.dims.world_size == 1:
            return model, pool
    if pools:
        raise ConfigError(
            f"{model.name}: every pool that serves {wanted} has replicas of several ranks, and "
            "this command runs one process; start it with `dit-serve up`"
        )
    raise ConfigError(f"{model.name} serves no tier {wanted}; it serves {', '.join(model.tiers)}")


def load_engine(model: ModelConfig, pool: PoolConfig) -> Engine:
    """The engine of a pool, warm, in this process; raises `ConfigError`."""
    engine = build_engine(engine_spec(model, pool))
    engine.warm_up()
    return engine


def compare_tiers(
    engine: Engine,
    config: ClusterConfig,
    request: GenerateRequest,
    tiers: Sequence[Tier],
    rounds: int,
    progress: Callable[[Tier], Callable[[int, int], None]],
) -> list[TierRow]:
    """One row per tier; every round does every tier once, so that all meet the same noise.

    Seconds are medians over the rounds, of encode, denoise and decode together. `progress(tier)` is
    called before each picture and gives what is called after each of its steps.
    """
    results: dict[Tier, list[EngineResult]] = {tier: [] for tier in tiers}
    model, job = settle(request, config, "generate", 0)
    for _ in range(rounds):
        for tier in tiers:
            results[tier].append(_once(engine, job, tier, progress(tier)))
    made = {tier: _made(job, results[tier]) for tier in tiers}
    return tier_rows(made, job.prompt, load_judge(model.judge))


def load_judge(name: str | None) -> Judge | None:
    """The judge that a model's config names as `module:function`.

    Raises:
        ConfigError: there is no such function.
    """
    if name is None:
        return None
    module, _, function = name.partition(":")
    try:
        return cast(Judge, getattr(import_module(module), function))
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"judge: {name} cannot be imported: {error}") from error


def _made(job: Job, results: Sequence[EngineResult]) -> Made:
    first = results[0]
    return Made(
        file=first.images[0],
        suffix=job.output_format,
        steps_computed=first.steps_computed,
        steps=first.steps_computed + first.steps_cached,
        seconds=statistics.median(result.engine_s for result in results),
    )


def _once(
    engine: Engine, job: Job, tier: Tier, stepped: Callable[[int, int], None]
) -> EngineResult:
    def boundary(done: int, total: int) -> bool:
        stepped(done, total)
        return True

    return engine.generate(job, tier, boundary)
