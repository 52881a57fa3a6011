"""The errors that callers see: their HTTP status, and that they cross processes whole."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

from cluster import errors
from cluster.errors import DitServeError

STATUS = {
    errors.InvalidRequest: 400,
    errors.Unauthorized: 401,
    errors.InsufficientScope: 403,
    errors.LoopbackOnly: 403,
    errors.UnknownModel: 404,
    errors.RequestTooLarge: 413,
    errors.IdempotencyConflict: 409,
    errors.QueueFull: 429,
    errors.LimitReached: 429,
    errors.OutOfReach: 429,
    errors.NotFound: 404,
    errors.CrossOrigin: 403,
    errors.BodyTooSlow: 408,
    errors.NotReady: 409,
    errors.EngineFailed: 500,
    errors.OutputCorrupt: 500,
    errors.NoReplica: 503,
    errors.ResultsUnavailable: 503,
    errors.GatewayDied: 503,
    errors.JobStoreUnavailable: 503,
    errors.KeysUnavailable: 503,
    errors.DeadlinePassed: 504,
}
"""The errors that HTTP tells, as API.md lists them."""


def tree(kind: type[DitServeError]) -> Iterator[type[DitServeError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


KINDS = sorted(set(tree(DitServeError)), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("carry", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_an_error_arrives_with_all_that_it_left_with(kind: type[DitServeError], carry):
    facts = {"param": "size", "retry_after_s": 1.5, "earliest_feasible_s": 2.5}
    there = carry(kind("size: too large", **facts))
    assert type(there) is kind
    assert str(there) == there.message == "size: too large"
    assert vars(there) == facts | {"message": "size: too large"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_without_facts_arrives_without(kind: type[DitServeError]):
    there = pickle.loads(pickle.dumps(kind("no")))
    facts = there.param, there.retry_after_s, there.earliest_feasible_s
    assert (there.message, facts) == ("no", (None, None, None))


@pytest.mark.parametrize(("kind", "status"), STATUS.items())
def test_every_error_has_the_documented_http_status(kind: type[DitServeError], status: int):
    assert kind("no").http_status == status


def test_the_errors_that_http_tells_are_the_leaves_of_the_tree():
    leaves = {kind for kind in KINDS if not kind.__subclasses__()}
    assert leaves == STATUS.keys() | {errors.ConfigError}


def test_every_error_that_http_tells_has_a_code_of_its_own():
    codes = [kind.code for kind in STATUS]
    assert None not in codes
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("group", "members"),
    [
        (
            errors.RequestError,
            {
                errors.InvalidRequest,
                errors.Unauthorized,
                errors.InsufficientScope,
                errors.LoopbackOnly,
                errors.CrossOrigin,
                errors.BodyTooSlow,
                errors.UnknownModel,
                errors.NotFound,
                errors.NotReady,
                errors.RequestTooLarge,
                errors.IdempotencyConflict,
            },
        ),
        (
            errors.Refusal,
            {
                errors.QueueFull,
                errors.LimitReached,
                errors.OutOfReach,
                errors.NoReplica,
                errors.JobStoreUnavailable,
                errors.KeysUnavailable,
            },
        ),
        (
            errors.Failure,
            {
                errors.DeadlinePassed,
                errors.EngineFailed,
                errors.OutputCorrupt,
                errors.ResultsUnavailable,
                errors.GatewayDied,
            },
        ),
    ],
)
def test_a_group_of_errors_is_caught_by_its_name(
    group: type[DitServeError], members: set[type[DitServeError]]
):
    assert {kind for kind in STATUS if issubclass(kind, group)} == members
    assert not issubclass(errors.ConfigError, group)


def test_a_config_error_keeps_its_lines_apart():
    lines = "a.yaml: models: one\na.yaml: models[0].name: two"
    assert str(pickle.loads(pickle.dumps(errors.ConfigError(lines)))) == lines
