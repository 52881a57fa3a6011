"""The spans of a router: each wait of a job in line, and each call of a replica for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.errors import DitServeError
from cluster.job import Job
from cluster.routing import Dispatch
from cluster.trace_attributes import OUTCOME, of_dispatch, of_job, of_steps
from cluster.tracing import TracingConfig
from deployments.pool_calls import ReplicaDied
from deployments.rank import WasStopped
from deployments.replica import Done, NotMine, ReplicaAnswer
from deployments.tracing import Span, tracer_of


class RouterSpans:
    """The spans of one router's jobs, children of the span that each job carries."""

    def __init__(self, config: TracingConfig | None) -> None:
        self._tracer = tracer_of(config, "router")
        self._queued: dict[str, Span] = {}

    def waits(self, job: Job) -> None:
        """The job is in line, or about to be refused."""
        self._queued[job.request_id] = self._tracer.begin(
            "queue", of_job(job), parent=job.traceparent
        )

    def leaves(self, job: Job, error: DitServeError | None) -> None:
        """The job is not in line any more, if it was: with an error, or as nobody wants it."""
        if span := self._queued.pop(job.request_id, None):
            if error is None:
                span.cancelled()
            else:
                span.failed(error)
            span.end()

    @contextmanager
    def call(self, dispatch: Dispatch) -> Iterator[ReplicaCall]:
        """The wait is over, and the replica is called: within the `with` block."""
        job = dispatch.waiting.job
        if waited := self._queued.pop(job.request_id, None):
            waited.end()
        attributes = of_dispatch(dispatch)
        with self._tracer.begin(
            "dispatch", attributes, parent=job.traceparent, kind="client"
        ) as span:
            yield ReplicaCall(span)

    def close(self) -> None:
        """Sends what was not sent yet. Blocks, for a few seconds at most."""
        self._tracer.close()


@dataclass(frozen=True)
class ReplicaCall:
    """The span of one call of a replica."""

    span: Span

    def answered(self, answer: ReplicaAnswer | ReplicaDied) -> ReplicaAnswer | ReplicaDied:
        """The same answer, told to the span."""
        match answer:
            case Done(result=result):
                steps = of_steps(result.steps_computed, result.steps_cached)
                self.span.tell({OUTCOME: "ok", **steps})
            case ReplicaDied():
                self.span.broke("replica_died")
            case NotMine():
                self.span.tell({OUTCOME: "replica_gone"})
            case WasStopped():
                self.span.tell({OUTCOME: "stopped"})
            case DitServeError():
                self.span.failed(answer)
        return answer
