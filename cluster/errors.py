"""Every error that a caller may see, and what HTTP makes of it.

    DitServeError
      ConfigError              the config file is wrong (exit code 2)
      RequestError             the caller can mend it
        InvalidRequest      400
        UnknownModel        404
        NotFound            404
        NotReady            409
        RequestTooLarge     413
        IdempotencyConflict 409
      Refusal                  the cluster cannot do it now; a later try may succeed
        QueueFull           429
        OutOfReach          429  the deadline cannot be kept, even at the floor
        NoReplica           503
        JobStoreUnavailable 503
      Failure                  accepted, but not done
        DeadlinePassed      504
        EngineFailed        500
        ResultsUnavailable  503

All of them pickle, so that they cross processes as values.
"""

from __future__ import annotations

from typing import ClassVar


class DitServeError(Exception):
    """An error with one clear sentence, and how HTTP tells it."""

    http_status: ClassVar[int] = 500
    error_type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        earliest_feasible_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.earliest_feasible_s = earliest_feasible_s

    def __reduce__(self) -> tuple[object, ...]:
        facts = (self.param, self.retry_after_s, self.earliest_feasible_s)
        return _rebuild, (type(self), self.message, *facts)


def _rebuild(
    kind: type[DitServeError],
    message: str,
    param: str | None,
    retry_after_s: float | None,
    earliest_feasible_s: float | None,
) -> DitServeError:
    return kind(
        message,
        param=param,
        retry_after_s=retry_after_s,
        earliest_feasible_s=earliest_feasible_s,
    )


class ConfigError(DitServeError):
    """The config is wrong; the message has one line per fault, each with file and path."""

    error_type = "config_error"


class RequestError(DitServeError):
    """The request is wrong; `param` names the field."""

    http_status = 400
    error_type = "invalid_request_error"


class InvalidRequest(RequestError):
    """A field has a bad value, or the body is no such request."""

    code = "invalid_value"


class UnknownModel(RequestError):
    http_status = 404
    code = "model_not_found"


class NotFound(RequestError):
    """No such result or job, or not any more."""

    http_status = 404
    code = "not_found"


class NotReady(RequestError):
    """The job has no result yet, or will have none."""

    http_status = 409
    code = "not_ready"


class RequestTooLarge(RequestError):
    http_status = 413
    code = "request_too_large"


class IdempotencyConflict(RequestError):
    """The idempotency key came before, with another request."""

    http_status = 409
    code = "idempotency_key_reused"


class Refusal(DitServeError):
    """Nothing is wrong with the request, but the cluster cannot take it now."""

    http_status = 429
    error_type = "rate_limit_error"


class QueueFull(Refusal):
    code = "queue_full"


class OutOfReach(Refusal):
    """`earliest_feasible_s` is the least deadline that would be taken now, in seconds."""

    code = "deadline_out_of_reach"


class NoReplica(Refusal):
    http_status = 503
    error_type = "server_error"
    code = "no_replica"


class JobStoreUnavailable(Refusal):
    """The database of jobs does not answer, or not as it should."""

    http_status = 503
    error_type = "server_error"
    code = "job_store_unavailable"


class Failure(DitServeError):
    """The request was accepted and could not be finished."""


class DeadlinePassed(Failure):
    http_status = 504
    error_type = "timeout_error"
    code = "deadline_passed"


class EngineFailed(Failure):
    code = "engine_failed"


class ResultsUnavailable(Failure):
    """The place where results are kept cannot be read or written, for the reason it gave."""

    http_status = 503
    code = "results_unavailable"
