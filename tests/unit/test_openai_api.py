"""Errors in OpenAI's envelope."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.errors import InvalidRequest, OutOfReach, QueueFull
from cluster.load import load_config
from cluster.measured_tiers import PoolMeasurements
from cluster.pool_load import ModelLoad, PoolLoad
from cluster.receipt import GenerateResult, Stored
from deployments.openai_api import (
    decode_body,
    error_response,
    images_response,
    models_response,
    status_response,
    tiers_response,
)
from deployments.openapi_shapes import Images, ModelList, Status, TierList
from deployments.pipeline_class import with_pipelines
from tests.unit.cluster.measured import row
from tests.unit.receipts import receipt


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
    told = tiers_response(config, {"shapes": {"cpu": found}})
    TierList.model_validate(told)
    listed = {each["tier"]: each for each in told["data"]}
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


def test_models_tell_what_they_can_do_and_within_which_limits():
    told = models_response(with_pipelines(load_config(Path("configs/demo.yaml"))))
    ModelList.model_validate(told)
    (shapes,) = told["data"]
    assert shapes["tasks"] == ["text-to-image", "image-to-image", "inpainting"]
    assert shapes["tiers"] == ["none", "slow", "medium", "fast", "ultra"]
    assert (shapes["default_size"], shapes["limits"]["max_side"]) == ("128x128", 128)


def test_the_status_of_a_model_tells_its_line_and_its_pools():
    load = ModelLoad(queued=3, pools={"cpu": PoolLoad(idle=0, busy=2, backlog_s=1.5)})
    told = status_response({"shapes": load})
    Status.model_validate(told)
    pool = {"pool": "cpu", "idle": 0, "busy": 2, "backlog_s": 1.5}
    assert told == {"models": [{"model": "shapes", "queued": 3, "pools": [pool]}]}


def test_pictures_are_in_the_answer_or_it_says_where_they_are():
    inside = images_response(GenerateResult((b"one", b"two"), receipt(n=2), "webp"), str.upper)
    Images.model_validate(inside)
    assert inside["data"] == [{"b64_json": "b25l"}, {"b64_json": "dHdv"}]
    assert (inside["output_format"], inside["size"]) == ("webp", "64x32")
    kept = GenerateResult((), receipt(), "png", (Stored("images/img_1_0", 3),))
    stored = images_response(kept, str.upper)
    Images.model_validate(stored)
    assert stored["data"] == [{"url": "IMAGES/IMG_1_0"}]


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"{}", "text/plain", "must be application/json, not text/plain"),
        (b"{}", "", "must be application/json, not empty"),
        (b"{", "application/json", "not valid JSON"),
        (b"\xff", "application/json", "not valid JSON"),
        (b"[" * 100_000, "application/json", "not valid JSON"),
        (b"[]", "application/json", "must be a JSON object, not list"),
        (b'{"n": NaN}', "application/json", "NaN is not a JSON number"),
        (b'{"n": 1, "n": 1}', "application/json", "n: is given twice"),
        (b'{"n": 1, "\\u006e": 2}', "application/json", "n: is given twice"),
        (b'{"a": [{"n": 1, "n": 2}]}', "application/json", "n: is given twice"),
    ],
    ids=range(10),
)
def test_what_is_no_json_object_is_refused(body: bytes, content_type: str, words: str):
    with pytest.raises(InvalidRequest, match=words):
        decode_body(body, content_type)
