"""What is done about a job whose replica gave no result, or one that cannot be right."""

from __future__ import annotations

import asyncio
import logging

from cluster.attempts import after_corrupt_output, after_death
from cluster.errors import DitServeError, OutputCorrupt
from cluster.queue import Waiting
from cluster.routing import Dispatch
from deployments.metrics import RouterMetrics

logger = logging.getLogger("ray.serve")

RETRY_PAUSE_S = 0.2
"""After a replica died: time for Serve to tell that it is gone; five times longer each time."""


class Attempts:
    """The attempts at one model's jobs. What it gives is the job as it waits again, or its end."""

    def __init__(self, most: int, metrics: RouterMetrics) -> None:
        """`most` is how often a job is begun at most: `max_attempts`."""
        self._most = most
        self._metrics = metrics

    async def after_death(self, dispatch: Dispatch) -> Waiting | DitServeError:
        """The replica's process ended before it answered."""
        self._log(dispatch, "died")
        again = after_death(dispatch.waiting, self._most)
        if isinstance(again, Waiting):
            await asyncio.sleep(RETRY_PAUSE_S * 5**dispatch.waiting.attempts)
        return again

    def after_corrupt_output(
        self, dispatch: Dispatch, error: OutputCorrupt
    ) -> Waiting | DitServeError:
        """What the replica made was kept back there."""
        self._log(dispatch, f"kept its result back: {error}")
        self._metrics.output_refused(dispatch.pool, dispatch.tier)
        return after_corrupt_output(dispatch.waiting, dispatch.replica, error, self._most)

    def _log(self, dispatch: Dispatch, what: str) -> None:
        request_id, attempt = dispatch.waiting.job.request_id, dispatch.waiting.attempts + 1
        logger.warning(
            "request %s: replica %s %s, attempt %d", request_id, dispatch.replica, what, attempt
        )
