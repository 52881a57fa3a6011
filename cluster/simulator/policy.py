"""What a policy is told and asked; the running router and every baseline answer to it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from cluster.errors import DitServeError
from cluster.job import Job
from cluster.routing import Dispatch


class Policy(Protocol):
    """Told what happens, asked what to do next. Holds no clock; `now_s` never goes back."""

    def replicas_changed(self, pool: str, running: Collection[str], now_s: float) -> None:
        """These replicas of a pool run now. One that is gone ends the job that it has, no other."""

    def arrive(self, job: Job, now_s: float) -> DitServeError | None:
        """Why the job is refused; None when it is admitted."""

    def next_dispatch(self, now_s: float) -> Dispatch | None:
        """A job to begin now; it leaves the line and its replica is busy from here on.

        Asked after every event until it answers None.
        """

    def finished(self, dispatch: Dispatch, now_s: float) -> None:
        """The replica of that dispatch has nothing to do again."""
