"""The waiting line of one model: higher priority first, then first come, first served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.request import Job


@dataclass(frozen=True)
class Waiting:
    """A job in the line. Times are on the router's monotonic clock, in seconds."""

    job: Job
    arrived_s: float
    number: int
    attempts: int = 0

    @property
    def due_s(self) -> float | None:
        """When the caller's deadline passes."""
        return None if self.job.deadline_s is None else self.arrived_s + self.job.deadline_s


class WaitingLine:
    """Jobs in the order in which they are to be served; no clock and no lock of its own."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiting]:
        """The next to be served first."""
        return iter(
            sorted(
                self._waiting.values(), key=lambda waiting: (-waiting.job.priority, waiting.number)
            )
        )

    def arrive(self, job: Job, now_s: float) -> Waiting:
        """Puts a job at the end of its priority."""
        self._arrivals += 1
        waiting = Waiting(job, now_s, self._arrivals)
        self._waiting[job.request_id] = waiting
        return waiting

    def take(self, request_id: str) -> Waiting | None:
        """Takes a job out, wherever it stands; None if it is not here."""
        return self._waiting.pop(request_id, None)

    def put_back(self, waiting: Waiting) -> None:
        """Returns a job that could not be done to the place that it had."""
        self._waiting[waiting.job.request_id] = waiting
