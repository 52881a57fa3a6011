"""What a calibration makes: every picture of every tier, in an order that is fair to all.

A cell is one picture or clip. All arms of one prompt and round follow each other, in an order that
the seed shuffles, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cluster.acceleration import CacheConfig
from cluster.config import ClusterConfig, ModelConfig
from cluster.errors import ConfigError
from cluster.job import Job
from cluster.pool import PoolConfig
from cluster.request import parse_request
from cluster.settling import settle
from cluster.tiers import Tier

PROMPTS = (
    "a red circle left of a blue square on a white background",
    "a small green star on a black background",
    "a yellow triangle above a purple circle on a gray background",
    "a large orange square on a white background",
)
"""Where none are given: few things, plainly said, which any model draws."""


@dataclass(frozen=True)
class Asked:
    """What the command asks for; no size or steps are the model's defaults.

    The pictures of prompt p of P in round r have the seed `seed + r * P + p`.
    """

    sizes: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    prompts: tuple[str, ...] = PROMPTS
    rounds: int = 3
    seed: int = 0
    true_cfg_scale: float | None = None


@dataclass(frozen=True)
class Arm:
    """A tier with the cache settings that it is measured under."""

    name: str
    tier: Tier
    cache: CacheConfig


@dataclass(frozen=True)
class Work:
    """One pool at one size and number of steps; each of `jobs` is done by every arm.

    The first arm computes every step: the others are measured against it.
    """

    model: ModelConfig
    pool: PoolConfig
    arms: tuple[Arm, ...]
    jobs: tuple[Job, ...]

    def in_turn(self, seed: int) -> Iterator[tuple[Arm, Job]]:
        """Every cell, in an order that the seed alone decides."""
        rng = random.Random(seed)
        for job in self.jobs:
            for arm in rng.sample(self.arms, len(self.arms)):
                yield arm, job

    def warming_up(self, steps: int) -> Iterator[tuple[Arm, Job]]:
        """Once each arm, with few steps: so that no cell pays for compiling or for memory."""
        for arm in self.arms:
            yield arm, replace(self.jobs[0], num_inference_steps=steps)


def cell_key(work: Work, arm: Arm, job: Job) -> str:
    """What tells a cell from all others of a calibration."""
    size = f"{job.width}x{job.height}x{job.num_frames or 1}"
    where = f"{work.model.name}/{work.pool.name} {size} {job.num_inference_steps} steps"
    return f"{where} {arm.name} {job.request_id}"


def chosen_pools(
    config: ClusterConfig, model: str | None, pool: str | None
) -> tuple[list[tuple[ModelConfig, PoolConfig]], list[str]]:
    """The pools to measure, all that match the names, and a line for each that cannot be.

    Raises:
        ConfigError: no pool is left, or those left are on two kinds of devices.
    """
    named = [
        (each, its_pool)
        for each in config.models
        for its_pool in each.pools
        if model in (None, each.name) and pool in (None, its_pool.name)
    ]
    if not named:
        there = ", ".join(f"{each.name}/{own.name}" for each in config.models for own in each.pools)
        raise ConfigError(f"no pool {model or '*'}/{pool or '*'} in the config; there are {there}")
    several = [
        f"{each.name}/{own.name} has replicas of {own.dims.world_size} ranks, and this command "
        "runs one process"
        for each, own in named
        if own.dims.world_size > 1
    ]
    chosen = [(each, own) for each, own in named if own.dims.world_size == 1]
    if not chosen:
        raise ConfigError("\n".join(several))
    if len({own.device for _, own in chosen}) > 1:
        raise ConfigError("the pools are on cpu and on cuda, a table is of one device: give --pool")
    return chosen, several


def planned(
    config: ClusterConfig,
    chosen: Sequence[tuple[ModelConfig, PoolConfig]],
    asked: Asked,
    arms: Sequence[Arm] | None = None,
) -> list[Work]:
    """The work of every pool, size and number of steps; the arms are the pool's tiers if not given.

    Raises:
        InvalidRequest: a size, a number of steps or a prompt is not within the model's limits.
    """
    return [
        Work(
            model,
            pool,
            tuple(arms or tier_arms(pool)),
            tuple(_jobs(config, model, size, steps, asked)),
        )
        for model, pool in chosen
        for size in asked.sizes or (model.default_size,)
        for steps in asked.steps or (model.default_steps,)
    ]


def tier_arms(pool: PoolConfig) -> tuple[Arm, ...]:
    """`none`, served or not, since it is the reference, and the pool's other tiers."""
    reference = Arm(str(Tier.NONE), Tier.NONE, pool.cache_config)
    others = [tier for tier in pool.tiers if tier is not Tier.NONE]
    return reference, *(Arm(str(tier), tier, pool.cache_for(tier)) for tier in others)


def _jobs(
    config: ClusterConfig, model: ModelConfig, size: str, steps: int, asked: Asked
) -> Iterator[Job]:
    for turn in range(asked.rounds):
        for index, prompt in enumerate(asked.prompts):
            fields = {
                "model": model.name,
                "prompt": prompt,
                "size": size,
                "num_inference_steps": steps,
                "true_cfg_scale": asked.true_cfg_scale,
                "seed": asked.seed + turn * len(asked.prompts) + index,
            }
            name = f"prompt {index} round {turn}"
            yield settle(parse_request(fields), config, name, seed=0)[1]
