"""What the runs of `benchmarks.gpu_tiers` come to: a row for each arm, and the bars. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.gpu_flops import CallFlops
from benchmarks.gpu_names import ALL_TOGETHER, BARE, COMPILED, ArmName, Denoised
from benchmarks.measures import Spread, ideal_speedup, median_of_ratios, spread
from cluster.tiers import Tier

_TERA = 1e12


@dataclass(frozen=True)
class Run:
    """What one arm did in one round. `graphs` were compiled in it."""

    arm: ArmName
    round: int
    denoised: Denoised
    graphs: int
    working_bytes: int | None


@dataclass(frozen=True)
class Work:
    """What a step is: calls of the transformer, their operations, and the blocks of a cached one.

    `front` and `back` are Fn and Bn.
    """

    calls: int
    flops: CallFlops
    front: int
    back: int

    def of(self, mask: Sequence[int]) -> int:
        """The operations of all steps of a mask."""
        return self.calls * sum(
            self.flops.computed if step else self.flops.cached(self.front, self.back)
            for step in mask
        )

    def ideal_speedup(self, mask: Sequence[int]) -> float:
        """Of a mask over no cache, if only blocks took time, all alike (`measures`)."""
        return ideal_speedup(
            sum(mask),
            len(mask) - sum(mask),
            blocks_when_cached=self.front + self.back,
            blocks=len(self.flops.blocks),
        )

    @property
    def cached_flops_share(self) -> float:
        """Operations of a cached step over those of a computed one."""
        return self.flops.cached(self.front, self.back) / self.flops.computed


@dataclass(frozen=True)
class Row:
    """An arm over all rounds. What does not apply, or was not measured, is None.

    `speedup` is over bare diffusers, `matmul_share` of the card's own rate: both medians of the
    rounds' ratios. `cached_over_computed` is the median of the rounds' ratios of the median cached
    step to the median computed one. `realised_over_ideal` is the speed-up over tier none of the
    same build, over the ideal one. `graphs_later` were compiled after the warm-up.
    """

    arm: ArmName
    steps_computed: int
    steps_cached: int
    denoise_s: Spread
    speedup: float
    tflops: float
    matmul_share: float
    cached_over_computed: float | None
    ideal_speedup: float | None
    realised_over_ideal: float | None
    graphs_in_warm_up: int
    graphs_later: int
    weight_bytes: int
    working_bytes: int | None


def rows(
    runs: Sequence[Run],
    work: Work,
    matmul_tflops: Sequence[float],
    graphs_in_warm_up: Mapping[ArmName, int],
    weight_bytes: Mapping[ArmName, int],
) -> list[Row]:
    """One row for each arm, in the order of `weight_bytes`; `matmul_tflops` has one for each round.

    `runs` include those of `BARE`.
    """
    of_arm = {
        arm: sorted((run for run in runs if run.arm == arm), key=lambda run: run.round)
        for arm in weight_bytes
    }
    seconds = {arm: [run.denoised.denoise_s for run in own] for arm, own in of_arm.items()}
    found = []
    for arm, own in of_arm.items():
        mask = own[0].denoised.mask
        rates = [work.of(mask) / taken_s / _TERA for taken_s in seconds[arm]]
        held = [run.working_bytes for run in own if run.working_bytes is not None]
        row = Row(
            arm=arm,
            steps_computed=sum(mask),
            steps_cached=len(mask) - sum(mask),
            denoise_s=spread(seconds[arm]),
            speedup=median_of_ratios(seconds[BARE], seconds[arm]),
            tflops=statistics.median(rates),
            matmul_share=median_of_ratios(rates, matmul_tflops),
            cached_over_computed=_cached_over_computed(own),
            ideal_speedup=None,
            realised_over_ideal=None,
            graphs_in_warm_up=graphs_in_warm_up[arm],
            graphs_later=sum(run.graphs for run in own),
            weight_bytes=weight_bytes[arm],
            working_bytes=max(held, default=None),
        )
        own_none = seconds.get(replace(arm, tier=Tier.NONE))
        if own_none is not None and row.steps_cached:
            ideal = work.ideal_speedup(mask)
            realised = median_of_ratios(own_none, seconds[arm]) / ideal
            row = replace(row, ideal_speedup=ideal, realised_over_ideal=realised)
        found.append(row)
    return found


@dataclass(frozen=True)
class Bar:
    """What is wanted of an arm, what it reached, and, where there is one, the further goal."""

    what: str
    arm: ArmName
    reached: float
    wanted: float
    goal: float | None = None
    at_most: bool = False

    @property
    def held(self) -> bool:
        """Reached at least what is wanted, or at most, as the bar is."""
        return self.reached <= self.wanted if self.at_most else self.reached >= self.wanted


def bars(found: Sequence[Row]) -> list[Bar]:
    """The bars of FLUX.1-dev with 28 steps on one H200 (issue 5, section 4), as far as measured."""
    by_arm = {row.arm: row for row in found}
    held_to = []
    if row := by_arm.get(fastest := ArmName(ALL_TOGETHER, Tier.ULTRA)):
        held_to.append(Bar("speed-up over diffusers", fastest, row.speedup, 5.5, 7.0))
    if row := by_arm.get(uncached := ArmName(COMPILED, Tier.NONE)):
        held_to.append(Bar("share of the measured matmul rate", uncached, row.matmul_share, 0.7))
    for arm in (ArmName(COMPILED, Tier.ULTRA), fastest):
        row = by_arm.get(arm)
        if row is None or row.cached_over_computed is None or row.realised_over_ideal is None:
            continue
        held_to += [
            Bar("cached over computed step", arm, row.cached_over_computed, 0.025, 0.02, True),
            Bar("realised over ideal skip", arm, row.realised_over_ideal, 0.95),
        ]
    return held_to


def _cached_over_computed(own: Sequence[Run]) -> float | None:
    ratios = []
    for run in own:
        steps = list(zip(run.denoised.step_s, run.denoised.mask, strict=True))
        cached = [taken_s for taken_s, computed in steps if not computed]
        if not cached:
            return None
        computed = [taken_s for taken_s, computed in steps if computed]
        ratios.append(statistics.median(cached) / statistics.median(computed))
    return statistics.median(ratios)
