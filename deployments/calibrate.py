"""Measures the tiers of pools in this process: makes the pictures of a plan, and sums them up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Protocol, cast

from cluster.acceleration import CacheConfig
from cluster.job import Job
from cluster.measured_tiers import MeasuredTier, Platform, TiersTable, measured_pool
from cluster.tier_samples import Sample, Timing, summary
from cluster.tiers import MASKED_STEPS_MIN, Tier
from deployments.calibration_journal import Journal
from deployments.calibration_plan import Arm, Asked, Work, cell_key
from deployments.device import device_name, forget_peak_memory, peak_memory_bytes
from deployments.engine import Engine, build_engine, engine_spec
from deployments.library_versions import library_versions
from deployments.picture_scores import Scores

Stepped = Callable[[int, int], None]
"""Called after each step with (steps done, steps in all)."""


class TunableEngine(Engine, Protocol):
    """An engine whose tiers may get other cache settings between two jobs."""

    def with_caches(self, tiers: Mapping[Tier, CacheConfig]) -> None: ...


def platform_of(work: Sequence[Work]) -> Platform:
    """What the work runs on; all of its pools are on one kind of device."""
    return Platform(
        device=device_name(work[0].pool.device),
        versions=library_versions(),
    )


def identity(work: Sequence[Work], asked: Asked, platform: Platform) -> dict[str, Any]:
    """What cells must have in common to be told as one calibration."""
    pools = {f"{each.model.name}/{each.pool.name}": each for each in work}
    return {
        "device": platform.device,
        "versions": platform.versions,
        "config": {
            name: measured_pool(each.model, each.pool).model_dump()
            for name, each in sorted(pools.items())
        },
        "prompts": list(asked.prompts),
        "seed": asked.seed,
        "true_cfg_scale": asked.true_cfg_scale,
    }


def make_pictures(
    work: Sequence[Work],
    seed: int,
    journal: Journal,
    begin: Callable[[str], Stepped],
) -> None:
    """Makes every picture that the journal does not have, and keeps each there at once.

    A pool whose pictures are all there is not loaded. `begin` is called with a name before each
    picture, those for warming up as well, and gives what is called after each of its steps.

    Raises:
        ConfigError: an engine cannot be loaded.
        InvalidRequest: a model does not take such jobs.
        EngineFailed, OutputCorrupt: a picture could not be made, or cannot be right.
    """
    for _, of_pool in groupby(work, key=lambda each: (each.model.name, each.pool.name)):
        left = [(each, _cells_left(each, seed, journal)) for each in of_pool]
        if unfinished := [(each, cells) for each, cells in left if cells]:
            _make_of_pool(unfinished, journal, begin)


def pictures_left(work: Sequence[Work], journal: Journal) -> int:
    """How many pictures are to be made, those for warming up among them."""
    left = [(len(_cells_left(each, 0, journal)), len(each.arms)) for each in work]
    return sum(cells + arms for cells, arms in left if cells)


def table_of(work: Sequence[Work], platform: Platform, rows: Sequence[MeasuredTier]) -> TiersTable:
    """The table, made now. Rows of `none` that the pool does not serve are left out."""
    pools = {(each.model.name, each.pool.name): each for each in work}
    return TiersTable(
        made_at=now(),
        platform=platform,
        pools=tuple(measured_pool(each.model, each.pool) for each in pools.values()),
        rows=tuple(row for row in rows if row.tier in pools[row.model, row.pool].pool.tiers),
    )


def summed_up(
    work: Work, journal: Journal, scores: Scores, scored: Callable[[], None]
) -> Iterator[MeasuredTier]:
    """A row per arm, from the pictures in the journal; `scored` is called after each of them."""
    for arm in work.arms:
        samples = []
        for job in work.jobs:
            key, none_key = (cell_key(work, each, job) for each in (arm, work.arms[0]))
            fidelity = scores.of(job.prompt, journal.picture(key), journal.picture(none_key))
            none_s = journal.timings[none_key].seconds
            samples.append(Sample(journal.timings[key], none_s, fidelity))
            scored()
        yield summary(work.pool, arm.tier, work.jobs[0], samples)


def now() -> str:
    """The time in UTC and ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _cells_left(work: Work, seed: int, journal: Journal) -> list[tuple[Arm, Job]]:
    """The cells that the journal does not have, in turn."""
    return [
        (arm, job)
        for arm, job in work.in_turn(seed)
        if cell_key(work, arm, job) not in journal.timings
    ]


def _make_of_pool(
    left: Sequence[tuple[Work, Sequence[tuple[Arm, Job]]]],
    journal: Journal,
    begin: Callable[[str], Stepped],
) -> None:
    """Makes the cells of one pool; its engine, and the memory that it takes, ends with this."""
    first = left[0][0]
    engine = cast(TunableEngine, build_engine(engine_spec(first.model, first.pool)))
    engine.warm_up()
    for work, cells in left:
        _warm_up(engine, work, begin)
        for arm, job in cells:
            name = f"{arm.name}, {job.num_inference_steps} steps, {job.request_id}"
            timing, file = _make(engine, work.pool.device, arm, job, begin(name))
            journal.keep(cell_key(work, arm, job), timing, file)


def _warm_up(engine: TunableEngine, work: Work, begin: Callable[[str], Stepped]) -> None:
    steps = min(work.jobs[0].num_inference_steps, MASKED_STEPS_MIN)
    for arm, job in work.warming_up(steps):
        _make(engine, work.pool.device, arm, job, begin(f"warming up {arm.name}"))


def _make(
    engine: TunableEngine, device: str, arm: Arm, job: Job, stepped: Stepped
) -> tuple[Timing, bytes]:
    def boundary(done: int, total: int) -> bool:
        stepped(done, total)
        return True

    engine.with_caches({arm.tier: arm.cache})
    forget_peak_memory(device)
    result = engine.generate(job, arm.tier, boundary)
    timing = Timing(
        encode_s=result.encode_s,
        denoise_s=result.denoise_s,
        decode_s=result.decode_s,
        steps_computed=result.steps_computed,
        steps_cached=result.steps_cached,
        peak_memory_bytes=peak_memory_bytes(device),
    )
    return timing, result.images[0]
