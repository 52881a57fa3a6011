"""Runs every arm in turn and sums the runs up. Imports no torch: an arm is whatever can `make`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.measures import (
    Spread,
    ideal_speedup,
    median_of_ratios,
    psnr_db,
    ratio_of_medians,
    shuffled_rounds,
    spread,
)
from cluster.job import Job

IDEAL_BAR = 0.90
"""Realised over ideal speed-up of the denoise stage, static masks (issue 2, section 6)."""


@dataclass(frozen=True)
class ArmName:
    """Who makes the picture, in which tier, and what decides which steps are cached.

    `maker` is `diffusers`, `cache-dit` or `engine`; `policy` is `static`, `config` (whatever the
    config file says) or None where nothing is cached.
    """

    maker: str
    tier: str | None = None
    policy: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.maker, self.tier, self.policy) if part)


BARE = ArmName("diffusers")


@dataclass(frozen=True)
class Making:
    """One picture as PNG and what making it took, in seconds.

    Denoise runs from the first call of the transformer to the last `callback_on_step_end`; encode
    is what came before, decode what came after, PNG included. `whole_s` is the call as seen from
    outside, from before the cache is reset.
    """

    picture: bytes
    encode_s: float
    denoise_s: float
    decode_s: float
    whole_s: float
    steps_computed: int
    steps_cached: int


class Arm(Protocol):
    """One way of making a picture of a job."""

    def make(self, job: Job) -> Making:
        """Makes the job's first picture."""
        ...


@dataclass(frozen=True)
class Run:
    """What one arm did in one round; its picture is held against bare diffusers' of that round."""

    arm: ArmName
    steps: int
    round: int
    encode_s: float
    denoise_s: float
    decode_s: float
    whole_s: float
    steps_computed: int
    steps_cached: int
    psnr_db: float
    identical: bool


@dataclass(frozen=True)
class Row:
    """An arm at one number of steps, over all rounds.

    Speed-ups are against bare diffusers: `*_speedup` is the median of the rounds' ratios,
    `*_speedup_of_medians` the ratio of the medians. `over_cache_dit` is bare cache-dit's denoise
    time over this one's, same tier and mask, median of the rounds' ratios. Steps and PSNR are
    medians over the rounds; `identical` means every pixel of every round. What does not apply is
    None.

    `realised_over_ideal` and the bar are against bare diffusers, as the issue wants it.
    `own_none_over_ideal` puts the same maker's tier `none` in bare diffusers' place: it is what
    caching alone realises, without whatever else the maker does faster or slower.
    """

    arm: ArmName
    steps: int
    denoise_s: Spread
    whole_s: Spread
    steps_computed: float
    steps_cached: float
    denoise_speedup: float
    denoise_speedup_of_medians: float
    whole_speedup: float
    whole_speedup_of_medians: float
    psnr_db: float
    identical: bool
    ideal_speedup: float | None
    realised_over_ideal: float | None
    meets_bar: bool | None
    own_none_over_ideal: float | None
    over_cache_dit: float | None


def measure(
    arms: Mapping[ArmName, Arm],
    jobs: Sequence[Job],
    order_seed: int,
    after_each: Callable[[], None],
) -> list[Run]:
    """Warms every arm up once, then lets all of them make one job per round, in shuffled order.

    `jobs` has one job per round, all of one number of steps; `arms` includes `BARE`. `after_each`
    is called after every picture.
    """
    for arm in arms.values():
        arm.make(jobs[0])
        after_each()
    runs = []
    for index, order in enumerate(shuffled_rounds(list(arms), len(jobs), order_seed)):
        made: dict[ArmName, Making] = {}
        for name in order:
            made[name] = arms[name].make(jobs[index])
            after_each()
        runs += [_run(name, index, jobs[index], made[name], made[BARE].picture) for name in arms]
    return runs


def summarise(runs: Sequence[Run], blocks_when_cached: Mapping[str, int], blocks: int) -> list[Row]:
    """One row per arm and number of steps, in the order of the runs.

    `blocks_when_cached` says for each tier how many of the transformer's `blocks` a cached step
    still runs.
    """
    grouped: dict[tuple[int, ArmName], list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.round):
        grouped.setdefault((run.steps, run.arm), []).append(run)
    return [
        _row(
            group,
            grouped[steps, BARE],
            grouped.get((steps, ArmName("cache-dit", arm.tier, "static"))),
            grouped.get((steps, ArmName(arm.maker, "none", "static"))),
            None if arm.tier is None else blocks_when_cached[arm.tier],
            blocks,
        )
        for (steps, arm), group in grouped.items()
    ]


def _row(
    group: Sequence[Run],
    bare: Sequence[Run],
    cache_dit: Sequence[Run] | None,
    own_none: Sequence[Run] | None,
    blocks_when_cached: int | None,
    blocks: int,
) -> Row:
    arm = group[0].arm
    denoise, whole = [run.denoise_s for run in group], [run.whole_s for run in group]
    bare_denoise, bare_whole = [run.denoise_s for run in bare], [run.whole_s for run in bare]
    computed = statistics.median(run.steps_computed for run in group)
    cached = statistics.median(run.steps_cached for run in group)
    speedup = median_of_ratios(bare_denoise, denoise)
    ideal = realised = own_realised = None
    if arm.policy == "static" and blocks_when_cached is not None:
        ideal = ideal_speedup(
            computed, cached, blocks_when_cached=blocks_when_cached, blocks=blocks
        )
        realised = speedup / ideal
        if own_none:
            own_realised = median_of_ratios([run.denoise_s for run in own_none], denoise) / ideal
    return Row(
        arm=arm,
        steps=group[0].steps,
        denoise_s=spread(denoise),
        whole_s=spread(whole),
        steps_computed=computed,
        steps_cached=cached,
        denoise_speedup=speedup,
        denoise_speedup_of_medians=ratio_of_medians(bare_denoise, denoise),
        whole_speedup=median_of_ratios(bare_whole, whole),
        whole_speedup_of_medians=ratio_of_medians(bare_whole, whole),
        psnr_db=statistics.median(run.psnr_db for run in group),
        identical=all(run.identical for run in group),
        ideal_speedup=ideal,
        realised_over_ideal=realised,
        meets_bar=None if realised is None else realised >= IDEAL_BAR,
        own_none_over_ideal=own_realised,
        over_cache_dit=(
            median_of_ratios([run.denoise_s for run in cache_dit], denoise)
            if cache_dit and arm.maker == "engine" and arm.policy == "static"
            else None
        ),
    )


def _run(name: ArmName, index: int, job: Job, making: Making, reference: bytes) -> Run:
    psnr = psnr_db(reference, making.picture)
    return Run(
        arm=name,
        steps=job.num_inference_steps,
        round=index,
        encode_s=making.encode_s,
        denoise_s=making.denoise_s,
        decode_s=making.decode_s,
        whole_s=making.whole_s,
        steps_computed=making.steps_computed,
        steps_cached=making.steps_cached,
        psnr_db=psnr,
        identical=math.isinf(psnr),
    )
