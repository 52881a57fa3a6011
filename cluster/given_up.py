"""Why a job that was taken is given up: what its caller is told."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.errors import DeadlinePassed, EngineFailed, NoReplica, OutputCorrupt
from cluster.job import Job


def deadline_passed(job: Job) -> DeadlinePassed:
    """It waited beyond its deadline, which it has."""
    return DeadlinePassed(
        f"deadline_ms: the deadline passed after {job.deadline_s:.3g} s "
        "in which the request waited for a replica",
        param="deadline_ms",
    )


def no_replica(job: Job, pools: Iterable[str]) -> NoReplica:
    """None of the pools that would do has had a replica for as long as it waits."""
    return NoReplica(f"{job.model}: no replica of {', '.join(pools)} runs", retry_after_s=10)


def replicas_died(attempts: int, corrupt: int = 0) -> EngineFailed:
    """The last replica ended while it made it; what `corrupt` others made could not be right."""
    what = f"{attempts} replicas died on this request"
    if corrupt:
        what = f"{attempts} attempts failed: {corrupt} gave corrupt output, and a replica died"
    return EngineFailed(f"{what}; it is not tried again")


def always_corrupt(last: OutputCorrupt, attempts: int) -> OutputCorrupt:
    """What was made of it could not be right, the last time as well."""
    return OutputCorrupt(f"{last.message}; attempt {attempts} was the last, and nothing was sent")
