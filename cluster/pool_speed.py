"""The speed of a pool by stages, learnt from all its jobs, for jobs unlike any before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from cluster.job import Job
from cluster.step_seconds import CACHED_RATIO_PRIOR, StepSeconds
from cluster.typical_seconds import TypicalSeconds

SIZES_KEPT = 32
"""Sizes of which a pool's speed is remembered: those that were measured last."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one job took; steps are summed over the n pictures, and at least one is computed.

    `handover_s` is what its replica was busy with it beside the engine's stages: the call there and
    back, and rank groups falling in step.
    """

    encode_s: float
    denoise_s: float
    decode_s: float
    steps_computed: int
    steps_cached: int
    handover_s: float = 0.0

    @property
    def busy_s(self) -> float:
        """Seconds that the replica could do nothing else."""
        return self.handover_s + self.encode_s + self.denoise_s + self.decode_s


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of the stages of one picture or clip, and of one step; of a handover for each job.

    `jobs` is how many jobs of the size that it goes by have taught it. Where that is another size,
    steps and decoding may well take `stretch` times as long; it is at least 1.
    """

    encode_s: float
    step_s: float
    cached_step_s: float
    decode_s: float
    handover_s: float = 0.0
    stretch: float = 1.0
    jobs: int = 0


class Size(NamedTuple):
    """What makes a step long: pixels of all frames, and calls of the transformer."""

    pixels: int
    passes: int

    @property
    def work(self) -> int:
        return self.pixels * self.passes


def is_guided(job: Job) -> bool:
    """Whether the job asks for a negative prompt or true CFG, which double the work of a step."""
    return job.true_cfg_scale is not None or job.negative_prompt is not None


def size_of(job: Job) -> Size:
    return Size(job.width * job.height * (job.num_frames or 1), 2 if is_guided(job) else 1)


class PoolSpeed:
    """What the jobs of one pool taught, whatever their tiers."""

    def __init__(self, job: Job, measured: Measured) -> None:
        """Begins with the pool's first job."""
        self._handover = TypicalSeconds(measured.handover_s)
        self._encode = TypicalSeconds(measured.encode_s / job.n)
        self._sizes = {size_of(job): _SizeSpeed(job, measured, CACHED_RATIO_PRIOR)}

    def learn(self, job: Job, measured: Measured) -> None:
        """Takes one more job."""
        self._handover.learn(measured.handover_s)
        self._encode.learn(measured.encode_s / job.n)
        size = size_of(job)
        known = self._sizes.pop(size, None)
        if known is None:
            known = _SizeSpeed(job, measured, self._sizes[self._nearest(size)].steps.ratio)
        else:
            known.learn(job, measured)
        self._sizes[size] = known
        if len(self._sizes) > SIZES_KEPT:
            del self._sizes[next(iter(self._sizes))]

    def speed(self, job: Job) -> Speed:
        """The speed at the job's size: as measured, or in proportion to the nearest measured one.

        A step is taken to be proportional to the pixels of all frames. That is a lower bound for a
        larger size, since the seconds of attention grow with their square; `stretch` allows for a
        power of 1.5. For a smaller size, where a step's fixed costs weigh, it allows for 0.5.
        """
        size = size_of(job)
        near = size if size in self._sizes else self._nearest(size)
        known = self._sizes[near]
        scale = size.work / near.work
        step_s = scale * known.steps.step_s
        return Speed(
            encode_s=self._encode.p50_s,
            step_s=step_s,
            cached_step_s=step_s * known.steps.ratio,
            decode_s=known.decode.p50_s * size.pixels / near.pixels,
            handover_s=self._handover.p50_s,
            stretch=math.sqrt(max(scale, 1 / scale)),
            jobs=known.jobs,
        )

    def jobs_like(self, job: Job) -> int:
        """How many jobs of that size have been measured."""
        known = self._sizes.get(size_of(job))
        return known.jobs if known else 0

    def _nearest(self, size: Size) -> Size:
        """The measured size of the nearest work, with as many passes if there is one such."""
        alike = [known for known in self._sizes if known.passes == size.passes]
        work = size.work
        return min(alike or self._sizes, key=lambda known: abs(math.log(known.work / work)))


class _SizeSpeed:
    """Steps and decoding at one size."""

    def __init__(self, job: Job, measured: Measured, ratio: float) -> None:
        self.steps = StepSeconds(
            measured.denoise_s, measured.steps_computed, measured.steps_cached, ratio
        )
        self.decode = TypicalSeconds(measured.decode_s / job.n)
        self.jobs = 1

    def learn(self, job: Job, measured: Measured) -> None:
        self.jobs += 1
        self.steps.learn(measured.denoise_s, measured.steps_computed, measured.steps_cached)
        self.decode.learn(measured.decode_s / job.n)
