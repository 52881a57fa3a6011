"""Every error that a caller may see, and what HTTP makes of it.

    DitServeError
      ConfigError              the config file is wrong (exit code 2)
      RequestError             the caller can mend it
        InvalidRequest      400
        Unauthorized        401
        Forbidden           403
          InsufficientScope 403
          LoopbackOnly      403
          CrossOrigin       403
        BodyTooSlow         408
        UnknownModel        404
        NotFound            404
        NotReady            409
        RequestTooLarge     413
        IdempotencyConflict 409
      Refusal                  the cluster cannot do it now; a later try may succeed
        QueueFull           429
        LimitReached        429  the key has used what it may
        OutOfReach          429  the deadline cannot be kept, even at the floor
        NoReplica           503
        JobStoreUnavailable 503
        KeysUnavailable     503
      Failure                  accepted, but not done
        DeadlinePassed      504
        EngineFailed        500
        OutputCorrupt       500  what was made is no picture, and was kept back
        ResultsUnavailable  503
        GatewayDied         503

All of them pickle, so that they cross processes as values.
"""

from __future__ import annotations

from typing import Any, ClassVar

_NO_KEY = (
    "this needs an API key that is known and works: send it as Authorization: Bearer dit_ID_SECRET"
)


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


class Unauthorized(RequestError):
    """No key was sent, or none that works: one sentence for all, so that nothing can be learnt."""

    http_status = 401
    code = "invalid_api_key"

    def __init__(self, message: str = _NO_KEY, **facts: Any) -> None:
        super().__init__(message, **facts)


class Forbidden(RequestError):
    """Whoever asks may not do this."""

    http_status = 403


class InsufficientScope(Forbidden):
    """The key is known, and is for something else."""

    code = "insufficient_scope"


class LoopbackOnly(Forbidden):
    """There are no keys, and the caller is on another machine."""

    code = "loopback_only"


class CrossOrigin(Forbidden):
    """There are no keys, and a page of another origin asks, or one under a strange name."""

    code = "cross_origin"


class BodyTooSlow(RequestError):
    http_status = 408
    code = "body_too_slow"


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


class LimitReached(Refusal):
    """The key has used what it may of the model; others are not concerned."""

    code = "limit_reached"


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


class KeysUnavailable(Refusal):
    """Where keys are kept does not answer, so nobody can be let in."""

    http_status = 503
    error_type = "server_error"
    code = "keys_unavailable"


class Failure(DitServeError):
    """The request was accepted and could not be finished."""


class DeadlinePassed(Failure):
    http_status = 504
    error_type = "timeout_error"
    code = "deadline_passed"


class EngineFailed(Failure):
    code = "engine_failed"


class OutputCorrupt(Failure):
    """What was made cannot be right: it has values that are no numbers, or is black all over."""

    code = "output_corrupt"


class ResultsUnavailable(Failure):
    """The place where results are kept cannot be read or written, for the reason it gave."""

    http_status = 503
    code = "results_unavailable"


class GatewayDied(Failure):
    """The gateway process that had the request ended; what it asked for may have been made."""

    http_status = 503
    code = "gateway_died"
