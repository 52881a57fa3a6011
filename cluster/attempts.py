"""What becomes of a job whose replica gave no result: it is tried again, or given up. Pure."""

from __future__ import annotations

from dataclasses import replace

from cluster.errors import EngineFailed, OutputCorrupt
from cluster.given_up import always_corrupt, replicas_died
from cluster.queue import Waiting


def after_death(waiting: Waiting, max_attempts: int) -> Waiting | EngineFailed:
    """The job as it waits again after its replica's process ended, or why it does not."""
    attempts = waiting.attempts + 1
    if attempts >= max_attempts:
        return replicas_died(attempts, len(waiting.avoids))
    return replace(waiting, attempts=attempts)


def after_corrupt_output(
    waiting: Waiting, replica: str, error: OutputCorrupt, max_attempts: int
) -> Waiting | OutputCorrupt:
    """The job as it waits again, for another replica if there is one, or why it does not."""
    attempts = waiting.attempts + 1
    if attempts >= max_attempts:
        return always_corrupt(error, attempts)
    return replace(waiting, attempts=attempts, avoids=waiting.avoids | {replica})
