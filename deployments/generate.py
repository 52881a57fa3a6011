"""Pictures of a prompt in one tier or all of them, from an engine in this process."""

from __future__ import annotations

import io
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from PIL import Image

from cluster.config import ClusterConfig, ModelConfig
from cluster.errors import ConfigError
from cluster.pool import PoolConfig
from cluster.request import GenerateRequest, Job, settle
from cluster.tiers import Tier
from deployments.engine import Engine, EngineResult, build_engine, engine_spec
from deployments.fidelity import psnr_db

Judge = Callable[[str, Image.Image], tuple[int, int] | None]
"""Facts right and facts asked of a prompt and its picture; None where it cannot tell."""


@dataclass(frozen=True)
class TierRow:
    """What a tier gave, what it cost, and how it compares with `none` of the same seed.

    `seconds` is the median over the rounds, of encode, denoise and decode together.
    """

    tier: Tier
    picture: Image.Image
    file: bytes
    result: EngineResult
    seconds: float
    speed_up: float | None
    psnr_db: float | None
    adherence: tuple[int, int] | None


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

    `progress(tier)` is called before each picture and gives what is called after each of its steps.
    """
    results: dict[Tier, list[EngineResult]] = {tier: [] for tier in tiers}
    model, job = settle(request, config, "generate", 0)
    for _ in range(rounds):
        for tier in tiers:
            results[tier].append(_once(engine, job, tier, progress(tier)))
    seconds = {
        tier: statistics.median(result.engine_s for result in results[tier]) for tier in tiers
    }
    pictures = {tier: Image.open(io.BytesIO(results[tier][0].images[0])) for tier in tiers}
    judge = load_judge(model.judge)
    return [
        TierRow(
            tier=tier,
            picture=pictures[tier],
            file=results[tier][0].images[0],
            result=results[tier][0],
            seconds=seconds[tier],
            speed_up=seconds[Tier.NONE] / seconds[tier] if Tier.NONE in seconds else None,
            psnr_db=psnr_db(pictures[tier], pictures[Tier.NONE]) if Tier.NONE in seconds else None,
            adherence=judge(job.prompt, pictures[tier]) if judge else None,
        )
        for tier in tiers
    ]


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


def _once(
    engine: Engine, job: Job, tier: Tier, stepped: Callable[[int, int], None]
) -> EngineResult:
    def boundary(done: int, total: int) -> bool:
        stepped(done, total)
        return True

    return engine.generate(job, tier, boundary)
