"""How long a replica may be silent follows from how silent good jobs were."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.job import Job
from cluster.pool import Watchdog
from cluster.watchdog import SilenceLimits, likeness


def job(side: int = 64, frames: int | None = None) -> Job:
    return Job("a", "m", "p", 1, side, side, "none", None, 28, 0, num_frames=frames)


@pytest.fixture
def limits() -> SilenceLimits:
    return SilenceLimits(Watchdog(multiple=10, min_s=5, unknown_s=100))


def test_a_job_unlike_any_before_has_the_time_for_the_unknown(limits: SilenceLimits) -> None:
    limits.learn(likeness(job(64)), 1.0)
    assert limits.limit_s(job(128)) == limits.limit_s(job(64, frames=5)) == 100


def test_a_known_job_has_a_multiple_of_the_longest_silence(limits: SilenceLimits) -> None:
    for silence_s in (1.0, 3.0, 2.0):
        limits.learn(likeness(job()), silence_s)
    assert limits.limit_s(job()) == 30


def test_a_batch_unlike_any_before_has_as_many_times_as_it_has_pictures(
    limits: SilenceLimits,
) -> None:
    limits.learn(likeness(job()), 1.0)
    four = replace(job(), n=4)
    assert limits.limit_s(four) == 40
    limits.learn(likeness(four), 2.0)
    assert (limits.limit_s(four), limits.limit_s(job())) == (20, 10)


def test_a_quick_job_has_the_least_time_all_the_same(limits: SilenceLimits) -> None:
    limits.learn(likeness(job()), 0.01)
    assert limits.limit_s(job()) == 5
