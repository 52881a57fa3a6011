"""The gateway's routes over HTTP; every answer is held to the OpenAPI document (see conftest)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from cluster.errors import (
    DeadlinePassed,
    EngineFailed,
    NoReplica,
    OutOfReach,
    QueueFull,
    ResultsUnavailable,
)
from cluster.measured_tiers import PoolMeasurements
from cluster.pool_load import ModelLoad, PoolLoad
from cluster.tasks import Task
from deployments.results import ResultStore
from tests.unit.cluster.measured import row
from tests.unit.gateway.stand_in import Routers, picture

GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"
PROMPT = {"prompt": "a red circle"}
Asking = Callable[..., Any]


def edit(client: TestClient, files: Any = None, **fields: str) -> Any:
    files = {"image": picture()} if files is None else files
    return client.post(EDITS, data=PROMPT | fields, files=files)


def test_pictures_are_answered_with_their_receipt(asking: Asking, routers: Routers) -> None:
    told = asking(GENERATIONS, n=2, seed=7)
    assert [base64.b64decode(each["b64_json"]) for each in told["data"]] == [picture()] * 2
    assert (told["size"], told["output_format"]) == ("64x32", "png")
    (job,) = routers.jobs
    assert told["receipt"]["request_id"] == job.request_id
    assert re.fullmatch(r"img_[0-9a-f]{24}", job.request_id)
    assert (job.n, job.seed, job.task) == (2, 7, Task.TEXT_TO_IMAGE)


def test_two_requests_have_two_ids_and_two_seeds(asking: Asking, routers: Routers) -> None:
    asking(GENERATIONS)
    asking(GENERATIONS)
    one, other = routers.jobs
    assert one.request_id != other.request_id
    assert one.seed != other.seed


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_a_picture_asked_for_by_url_is_fetched_there(
    client: TestClient, asking: Asking, output_format: str
) -> None:
    told = asking(GENERATIONS, response_format="url", n=2, output_format=output_format)
    urls = [each["url"] for each in told["data"]]
    assert len(set(urls)) == 2
    for url in urls:
        assert url.startswith("http://testserver/v1/images/img_")
        fetched = client.get(url)
        assert fetched.content == picture(output_format)
        assert fetched.headers["content-type"] == f"image/{output_format}"


def test_a_stored_picture_is_fetched_in_part_and_asked_about(
    client: TestClient, asking: Asking
) -> None:
    (url,) = (each["url"] for each in asking(GENERATIONS, response_format="url")["data"])
    part = client.get(url, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, picture()[:4])
    assert client.get(url, headers={"Range": "bytes=99999-"}).status_code == 416
    head = client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(picture()))
    tag = {"If-None-Match": head.headers["etag"]}
    assert client.get(url, headers=tag).status_code == 304


@pytest.mark.parametrize("name", ["img_" + "0" * 24 + "_0", "img_1", "x", "..", "img_%00"])
def test_a_picture_that_is_not_there_is_not_found(client: TestClient, name: str) -> None:
    for ask in (client.get, client.head):
        assert ask(f"/v1/images/{name}/content").status_code == 404


def test_an_edit_brings_its_pictures_and_its_mask(client: TestClient, routers: Routers) -> None:
    brought, mask = picture("jpeg", side=48), picture("webp", side=48)
    answer = edit(client, {"image": brought, "mask": mask}, strength="0.5", n="2", seed="7")
    assert answer.status_code == 200
    (job,) = routers.jobs
    assert (job.images, job.mask, job.task) == ((brought,), mask, Task.INPAINTING)
    assert (job.strength, job.n, job.seed) == (0.5, 2, 7)
    assert (job.width, job.height) == (48, 48)


@pytest.mark.parametrize(
    ("files", "fields", "param", "words"),
    [
        ({"user": (None, "me")}, {}, "image", "image: is missing"),
        ({"images": b"x", "image": b"y"}, {}, "images", "did you mean image?"),
        ({"image": b"no picture"}, {}, "image", "is no picture that can be read"),
        ([("image[]", picture()), ("image[]", picture())], {}, "image", "takes at most 1"),
        ({"image": picture(), "mask": b""}, {"mask": "x"}, "mask", "is text and a file"),
        (None, {"mask": "x"}, "mask", "must be a file of the form"),
        (None, {"n": "two"}, "n", "must be a whole number"),
        (None, {"n": "5"}, "n", "1 to 4"),
        (None, {"colour": "red"}, "colour", "unknown key"),
        (None, {"partial_images": "2"}, "partial_images", "stream: true"),
        (None, {"num_frames": "5"}, "num_frames", "makes pictures, not videos"),
        (None, {"model": "clips"}, "model", "makes videos"),
    ],
)
def test_an_edit_that_cannot_be_done_is_refused_by_the_name_of_its_field(
    client: TestClient, files: Any, fields: dict[str, str], param: str, words: str
) -> None:
    answer = edit(client, files, **fields)
    told = answer.json()["error"]
    assert (answer.status_code, told["type"]) == (400, "invalid_request_error")
    assert told["param"] == param
    assert words in told["message"]


@pytest.mark.parametrize(
    ("path", "body", "kind", "words"),
    [
        (GENERATIONS, b"{}", "text/plain", "must be application/json"),
        (GENERATIONS, b"{", "application/json", "not valid JSON"),
        (GENERATIONS, b"[]", "application/json", "must be a JSON object"),
        (GENERATIONS, b"{}", "application/json", "prompt: is missing"),
        (EDITS, b"{}", "text/plain", "must be multipart/form-data"),
        (EDITS, b"{}", "application/json", "prompt: is missing"),
        (EDITS, b'{"prompt": "a dog"}', "application/json", "images: is missing"),
        (EDITS, b"--X", "multipart/form-data; boundary=X", "it is cut off"),
        ("/v1/videos", b"{", "application/json", "not valid JSON"),
        ("/v1/videos", b"--X", "multipart/form-data", "boundary"),
    ],
)
def test_a_body_that_is_none_is_refused(
    client: TestClient, path: str, body: bytes, kind: str, words: str
) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [GENERATIONS, EDITS, "/v1/videos"])
@pytest.mark.parametrize("form", [False, True])
def test_a_body_that_is_too_large_is_not_read(client: TestClient, path: str, form: bool) -> None:
    kind = "multipart/form-data; boundary=X" if form else "application/json"
    answer = client.post(path, content=b"x" * 200_001, headers={"Content-Type": kind})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("refusal", "status", "retry_after"),
    [
        (QueueFull("the line is full", retry_after_s=1.2), 429, "2"),
        (OutOfReach("no", param="deadline_ms", earliest_feasible_s=3.5), 429, None),
        (NoReplica("none runs", retry_after_s=5), 503, "5"),
        (DeadlinePassed("too late", param="deadline_ms"), 504, None),
        (EngineFailed("out of memory"), 500, None),
        (ResultsUnavailable("the disk is full"), 503, None),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_router_refuses_has_its_own_status_also_for_a_stream(
    client: TestClient,
    routers: Routers,
    refusal: Any,
    status: int,
    retry_after: str | None,
    stream: bool,
) -> None:
    routers.refusal = refusal
    answer = client.post(GENERATIONS, json=PROMPT | {"stream": stream})
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry_after)
    told = answer.json()["error"]
    assert (told["message"], told["code"]) == (refusal.message, refusal.code)
    assert told.get("earliest_feasible_s") == refusal.earliest_feasible_s


def test_what_nobody_expected_says_no_more_than_that(
    client: TestClient, routers: Routers, caplog: pytest.LogCaptureFixture
) -> None:
    routers.failure = RuntimeError("secret")
    answer = client.post(GENERATIONS, json=PROMPT)
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", GENERATIONS, 405),
        ("DELETE", "/v1/models", 405),
        ("PUT", "/v1/videos", 405),
        ("GET", "/docs/nothing.js", 404),
        ("GET", "/studio/nothing.js", 404),
    ],
)
def test_where_nothing_is_the_error_has_the_envelope_too(
    client: TestClient, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert ("allow" in answer.headers) == (status == 405)


def test_models_and_what_each_can_do_are_told(client: TestClient) -> None:
    told = {each["id"]: each["tasks"] for each in client.get("/v1/models").json()["data"]}
    assert told == {
        "shapes": ["text-to-image", "image-to-image", "inpainting"],
        "clips": ["text-to-video"],
        "moving": ["image-to-video"],
    }


def test_tiers_are_told_as_measured_and_of_a_silent_router_that_it_is_silent(
    client: TestClient, routers: Routers
) -> None:
    measured = PoolMeasurements((row("fast"),), "2026-11-25T00:00:00+00:00", "card")
    routers.answers["measured_tiers"] = {"shapes": {"cpu": measured}}
    rows = client.get("/v1/tiers").json()["data"]
    told = {(each["model"], each["tier"]): each for each in rows}
    assert told["shapes", "fast"]["measured"][0]["speed_up"] == 2.0
    assert told["clips", "fast"]["measured_refused"] == "the model's router did not answer"


def test_the_status_tells_the_models_whose_routers_answer(
    client: TestClient, routers: Routers
) -> None:
    load = ModelLoad(queued=2, pools={"cpu": PoolLoad(idle=0, busy=1, backlog_s=0.5)})
    routers.answers["load"] = {"clips": load}
    (told,) = client.get("/v1/status").json()["models"]
    assert (told["model"], told["queued"]) == ("clips", 2)


def test_the_gateway_is_ready_when_every_pool_has_a_replica(
    client: TestClient, routers: Routers
) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    routers.answers["replicas"] = {"shapes": {"cpu": 1}, "clips": {"cpu": 0}}
    refused = client.get("/ready")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert "moving, clips/cpu" in refused.json()["error"]["message"]
    routers.answers["replicas"] = {name: {"cpu": 1} for name in routers.models}
    assert client.get("/ready").json()["status"] == "ready"


def test_metrics_are_text_for_prometheus(client: TestClient) -> None:
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_the_store_of_results_may_fail_and_that_is_told(
    client: TestClient, results: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any) -> None:
        raise ResultsUnavailable("the bucket is gone")

    monkeypatch.setattr(results, "read", fails)
    answer = client.get("/v1/images/img_" + "0" * 24 + "_0/content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "results_unavailable")
