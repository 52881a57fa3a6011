"""Errors in OpenAI's envelope."""

from __future__ import annotations

from pathlib import Path

from cluster.config import ClusterConfig
from cluster.errors import InvalidRequest, OutOfReach, QueueFull
from cluster.load import load_config
from cluster.measured_tiers import PoolMeasurements
from deployments.openai_api import error_response, tiers_response
from tests.unit.cluster.measured import row


def test_a_refused_deadline_tells_the_earliest_that_would_be_taken_and_when_to_come_back():
    error = OutOfReach("no", param="deadline_ms", retry_after_s=1.2, earliest_feasible_s=3.5)
    status, body, headers = error_response(error)
    assert (status, headers) == (429, {"Retry-After": "2"})
    assert body == {
        "error": {
            "message": "no",
            "type": "rate_limit_error",
            "param": "deadline_ms",
            "code": "deadline_out_of_reach",
            "earliest_feasible_s": 3.5,
        }
    }


def test_other_errors_have_the_four_fields_of_the_envelope_and_no_more():
    for error in (InvalidRequest("no", param="size"), QueueFull("no", retry_after_s=1.0)):
        _, body, _ = error_response(error)
        assert body["error"].keys() == {"message", "type", "param", "code"}


def test_an_error_that_waiting_does_not_mend_does_not_say_when_to_come_back():
    status, _, headers = error_response(InvalidRequest("no", param="size"))
    assert (status, headers) == (400, {})


def test_tiers_are_listed_with_what_they_were_measured_to_cost_and_give():
    model = load_config(Path("configs/demo.yaml")).models[0]
    config = ClusterConfig(models=(model,))
    found = PoolMeasurements((row("fast"),), "2026-11-25", "card")
    listed = {
        each["tier"]: each for each in tiers_response(config, {"shapes": {"cpu": found}})["data"]
    }
    (measured,) = listed["fast"]["measured"]
    assert (measured["size"], measured["steps"], measured["speed_up"]) == ("128x128", 28, 2.0)
    assert measured["computed_share"] == 11 / 28
    assert (measured["made_at"], measured["device"]) == ("2026-11-25", "card")
    assert (listed["slow"]["measured"], listed["slow"]["measured_refused"]) == ([], None)


def test_tiers_are_listed_with_why_nothing_is_known_of_them():
    config = ClusterConfig(models=(load_config(Path("configs/demo.yaml")).models[0],))
    refused = PoolMeasurements(refused="too old")
    stale = tiers_response(config, {"shapes": {"cpu": refused}})["data"]
    assert {each["measured_refused"] for each in stale} == {"too old"}
    unheard = tiers_response(config, {})["data"]
    assert {each["measured_refused"] for each in unheard} == {"the model's router did not answer"}
