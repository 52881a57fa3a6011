"""How long a replica may work on a job without a sign of life before it counts as hung."""

from __future__ import annotations

from dataclasses import replace

from cluster.job import Job
from cluster.pool import Watchdog

Likeness = tuple[int, int, int | None, int]
"""Width, height, number of frames, and number of pictures, which may be one batch."""


class SilenceLimits:
    """Learns the longest silence between two step boundaries from jobs that went well.

    Jobs of one size (and number of frames and pictures) are alike in this: a silence is a step, or
    the encoding before the first, or the decoding after the last. A batch is no more silent than
    its pictures one after another.
    """

    def __init__(self, settings: Watchdog) -> None:
        self._settings = settings
        self._longest_s: dict[Likeness, float] = {}

    def limit_s(self, job: Job) -> float:
        """Seconds of silence after which a replica that does this job counts as hung."""
        known_s = self._longest_s.get(likeness(job))
        if known_s is None and (alone_s := self._longest_s.get(likeness(replace(job, n=1)))):
            known_s = job.n * alone_s
        if known_s is None:
            return self._settings.unknown_s
        return max(self._settings.min_s, self._settings.multiple * known_s)

    def learn(self, like: Likeness, longest_s: float) -> None:
        """Takes the longest silence of a job that was done."""
        self._longest_s[like] = max(longest_s, self._longest_s.get(like, 0.0))


def likeness(job: Job) -> Likeness:
    """What makes two jobs alike in their silences."""
    return job.width, job.height, job.num_frames, job.n
