"""A router's accounts of the keys that ask it: what their limits let in, with all it tells."""

from __future__ import annotations

import time

from cluster.config import ModelConfig
from cluster.cost import Costs
from cluster.errors import DitServeError, LimitReached
from cluster.gpu_seconds import gpu_seconds
from cluster.job import Job
from cluster.key_ledger import KeyLedger
from cluster.routing import Dispatch
from deployments.metrics import RouterMetrics


class KeyAccounts:
    """Of one model, whichever gateways the requests come through."""

    def __init__(self, model: ModelConfig, costs: Costs, metrics: RouterMetrics) -> None:
        self._model = model
        self._costs = costs
        self._metrics = metrics
        self._ledger = KeyLedger(model.name)

    def refusal(self, job: Job) -> LimitReached | None:
        """Why the job's key may not have it done now; a job that came in before may."""
        refused = self._ledger.refusal(job, self._gpu_seconds(job), time.monotonic())
        if refused is None:
            return None
        self._metrics.limited(refused.limit)
        return refused.error

    def take(self, job: Job) -> None:
        """Counts a job that came in, until it has ended."""
        self._ledger.take(job, self._gpu_seconds(job), time.monotonic())

    def reserve(self, job: Job) -> LimitReached | None:
        """Counts a video whose job comes later; or says why its key may not have it made now."""
        if refusal := self.refusal(job):
            self._metrics.not_served(refusal.code or "", deadline_broken=False)
            return refusal
        self._ledger.take(job, self._gpu_seconds(job), time.monotonic(), reserve=True)
        return None

    def began(self, dispatch: Dispatch) -> None:
        """A replica has the job."""
        ends_s = time.monotonic() + dispatch.forecast.p50_s
        self._ledger.began(dispatch.waiting.job, ends_s)

    def ended(self, job: Job, error: DitServeError | None = None) -> None:
        """The job has its result, or will have none, for that reason if there is one."""
        self._ledger.ended(job, time.monotonic(), error)

    def _gpu_seconds(self, job: Job) -> float:
        return 0.0 if job.limits is None else gpu_seconds(job, self._model, self._costs)
