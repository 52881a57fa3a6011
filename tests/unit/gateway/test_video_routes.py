"""Videos over HTTP as durable jobs, on a real store; nobody makes them here but the test."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from cluster.errors import JobStoreUnavailable
from cluster.job import job_of
from cluster.tasks import Task
from cluster.video_job import VideoError
from deployments.job_store import JobStore
from deployments.results import ResultStore
from deployments.video_runner import VideoRunner
from tests.unit.gateway.stand_in import CLIP, Routers, picture

VIDEOS = "/v1/videos"
UNKNOWN = "video_" + "0" * 24


def created(client: TestClient, key: str | None = None, **fields: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = client.post(VIDEOS, json={"prompt": "waves"} | fields, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def claimed(store: JobStore, holder: str = "here") -> None:
    assert store.claim(holder, time.time(), lease_s=60.0, max_attempts=3) is not None


def completed(client: TestClient, store: JobStore, routers: Routers) -> Any:
    """A video that is made."""
    video = created(client)
    claimed(store)
    kept = store.get(video["id"], "")
    assert kept is not None
    result = routers.result_of(job_of(kept.job))
    receipt = result.receipt.model_dump(mode="json")
    store.complete(video["id"], "here", time.time(), receipt=receipt, result_bytes=len(CLIP))
    return client.get(f"{VIDEOS}/{video['id']}").json()


def refusal(client: TestClient, status: int = 400, **fields: Any) -> Any:
    answer = client.post(VIDEOS, json={"prompt": "waves"} | fields)
    assert answer.status_code == status
    return answer.json()["error"]


def test_a_video_is_taken_as_a_job_and_answered_at_once(
    client: TestClient, store: JobStore
) -> None:
    video = created(client, size="32x16", seconds="1", tier="fast", seed=7)
    assert re.fullmatch(r"video_[0-9a-f]{24}", video["id"])
    assert (video["status"], video["progress"], video["model"]) == ("queued", 0, "clips")
    assert (video["seconds"], video["size"], video["receipt"]) == ("1", "32x16", None)
    kept = store.get(video["id"], "")
    assert kept is not None
    job = job_of(kept.job)
    assert (job.num_frames, job.fps, job.output_format, job.seed) == (9, 8, "mp4", 7)
    assert (job.task, job.tier_requested) == (Task.TEXT_TO_VIDEO, "fast")
    assert job.store_as == f"videos/{video['id']}"


def test_a_video_without_a_length_tells_the_models_own(client: TestClient) -> None:
    assert created(client)["seconds"] == "0.625"
    assert created(client, num_frames=17, fps=4)["seconds"] == "4.25"


@pytest.mark.parametrize("from_form", [False, True])
def test_a_form_says_the_same_as_json(client: TestClient, from_form: bool) -> None:
    fields = {"prompt": "waves", "seconds": "1", "size": "32x16", "seed": "7"}
    if from_form:
        answer = client.post(VIDEOS, files={name: (None, text) for name, text in fields.items()})
    else:
        answer = client.post(VIDEOS, json=fields | {"seed": 7})
    told = answer.json()
    assert (told["seconds"], told["size"], told["prompt"]) == ("1", "32x16", "waves")


def test_a_clip_may_begin_from_a_picture_and_is_as_large(
    client: TestClient, store: JobStore
) -> None:
    form = {"prompt": "waves", "model": "moving"}
    answer = client.post(VIDEOS, data=form, files={"input_reference": picture(side=48)})
    video = answer.json()
    assert (answer.status_code, video["size"]) == (200, "48x48")
    kept = store.get(video["id"], "")
    assert kept is not None
    assert kept.job["task"] == "image-to-video"
    assert store.input_reference(video["id"]) == picture(side=48)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"model": "shapes"}, "model", "makes pictures; videos are made by clips, moving"),
        ({"prompt": ""}, "prompt", "must not be empty"),
        ({"seconds": "four"}, "seconds", "must be a number"),
        ({"seconds": 60}, "seconds", "makes at most 17"),
        ({"seconds": 1, "num_frames": 5}, "seconds", "given twice"),
        ({"num_frames": 18}, "num_frames", "1 to 17"),
        ({"size": "7x7"}, "size", "16"),
        ({"n": 2}, "n", "unknown key"),
        ({"input_reference": "aGVsbG8="}, "input_reference", "must be a file, sent in a form"),
        ({"model": "moving"}, "input_reference", "begins from a picture; give one"),
    ],
)
def test_a_video_that_cannot_be_made_is_refused_by_the_name_of_its_field(
    client: TestClient, fields: dict[str, Any], param: str, words: str
) -> None:
    told = refusal(client, **fields)
    assert told["param"] == param
    assert words in told["message"]


@pytest.mark.parametrize(
    ("data", "file", "words"),
    [
        ({"model": "moving"}, b"no picture", "input_reference: is no picture"),
        ({"model": "clips"}, picture(), "input_reference: clips takes none"),
    ],
)
def test_a_picture_that_no_clip_can_begin_from_is_refused(
    client: TestClient, data: dict[str, str], file: bytes, words: str
) -> None:
    form = {"prompt": "waves"} | data
    answer = client.post(VIDEOS, data=form, files={"input_reference": file})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(words)


def test_an_unknown_model_is_not_found(client: TestClient) -> None:
    assert refusal(client, 404, model="other")["code"] == "model_not_found"


def test_the_same_request_with_the_same_key_makes_one_video(client: TestClient) -> None:
    first = created(client, key="k-1")
    assert created(client, key="k-1") == first
    assert created(client, key="k-2")["id"] != first["id"]
    conflict = client.post(VIDEOS, json={"prompt": "fire"}, headers={"Idempotency-Key": "k-1"})
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (
        409,
        "idempotency_key_reused",
    )


@pytest.mark.parametrize("key", ["", "x" * 300])
def test_a_key_that_is_none_is_refused(client: TestClient, key: str) -> None:
    answer = client.post(VIDEOS, json={"prompt": "waves"}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "Idempotency-Key")


def test_videos_are_listed_page_by_page_newest_first(client: TestClient) -> None:
    made = [created(client)["id"] for _ in range(5)]
    first = client.get(VIDEOS, params={"limit": 2}).json()
    assert [video["id"] for video in first["data"]] == made[:2:-1]
    assert (first["first_id"], first["last_id"], first["has_more"]) == (made[4], made[3], True)
    second = client.get(VIDEOS, params={"limit": 3, "after": first["last_id"]}).json()
    assert [video["id"] for video in second["data"]] == made[2::-1]
    assert second["has_more"] is False
    oldest = client.get(VIDEOS, params={"order": "asc"}).json()["data"]
    assert [video["id"] for video in oldest] == made


def test_an_empty_list_is_a_list(client: TestClient) -> None:
    assert client.get(VIDEOS).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("order=newest", "order"),
        ("order=", "order"),
        ("after=video_1", "after"),
        ("after=x%00", "after"),
    ],
)
def test_a_wrong_query_is_refused_as_every_other_wrong_field(
    client: TestClient, query: str, param: str
) -> None:
    answer = client.get(f"{VIDEOS}?{query}")
    told = answer.json()["error"]
    assert (answer.status_code, told["type"], told["code"]) == (
        400,
        "invalid_request_error",
        "invalid_value",
    )
    assert told["param"] == param
    assert told["message"].startswith(f"{param}: ")


@pytest.mark.parametrize("name", [UNKNOWN, "video_1", "x", "video_" + "g" * 24, "a%00b"])
def test_a_video_that_is_not_there_is_not_found_in_every_way(client: TestClient, name: str) -> None:
    for method, path in [
        ("GET", name),
        ("DELETE", name),
        ("POST", f"{name}/cancel"),
        ("GET", f"{name}/content"),
        ("HEAD", f"{name}/content"),
    ]:
        assert client.request(method, f"{VIDEOS}/{path}").status_code == 404


def test_a_video_that_is_made_has_its_receipt_and_its_clip(
    client: TestClient, store: JobStore, routers: Routers
) -> None:
    video = completed(client, store, routers)
    assert (video["status"], video["progress"]) == ("completed", 100)
    assert video["receipt"]["request_id"] == video["id"]
    assert video["expires_at"] - video["completed_at"] == 86_400
    path = f"{VIDEOS}/{video['id']}/content"
    clip = client.get(path)
    assert (clip.content, clip.headers["content-type"]) == (CLIP, "video/mp4")
    assert client.get(path, headers={"Range": "bytes=4-11"}).content == b"ftypisom"
    assert client.head(path).headers["content-length"] == str(len(CLIP))


@pytest.mark.parametrize("state", ["queued", "in_progress", "failed", "cancelled"])
def test_a_video_that_is_not_made_has_no_clip(
    client: TestClient, store: JobStore, state: str
) -> None:
    video = created(client)
    if state in ("in_progress", "failed"):
        claimed(store)
    if state == "failed":
        store.fail(video["id"], "here", time.time(), VideoError("engine_failed", "no"))
    if state == "cancelled":
        store.cancel(video["id"], "", time.time())
    answer = client.get(f"{VIDEOS}/{video['id']}/content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_ready")
    assert state in answer.json()["error"]["message"]


def test_another_variant_than_the_clip_is_refused(client: TestClient) -> None:
    answer = client.get(f"{VIDEOS}/{UNKNOWN}/content", params={"variant": "thumbnail"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "variant")


def test_a_clip_that_was_swept_is_not_found(
    client: TestClient, store: JobStore, routers: Routers, results: ResultStore
) -> None:
    video = completed(client, store, routers)
    results.delete(f"videos/{video['id']}")
    assert client.get(f"{VIDEOS}/{video['id']}/content").status_code == 404


def test_a_deleted_video_is_gone_and_its_clip_with_it(
    client: TestClient, store: JobStore, routers: Routers, results: ResultStore
) -> None:
    video = completed(client, store, routers)
    told = client.delete(f"{VIDEOS}/{video['id']}").json()
    assert told == {"id": video["id"], "object": "video.deleted", "deleted": True}
    assert client.get(f"{VIDEOS}/{video['id']}").status_code == 404
    assert client.delete(f"{VIDEOS}/{video['id']}").status_code == 404
    assert not results.exists(f"videos/{video['id']}")


def test_a_video_is_cancelled_once_and_one_that_ended_stays_as_it_is(
    client: TestClient, store: JobStore, routers: Routers
) -> None:
    made = completed(client, store, routers)
    video = created(client)
    assert client.post(f"{VIDEOS}/{video['id']}/cancel").json()["status"] == "cancelled"
    assert client.post(f"{VIDEOS}/{video['id']}/cancel").json()["status"] == "cancelled"
    assert client.post(f"{VIDEOS}/{made['id']}/cancel").json() == made


def test_the_runner_of_videos_hears_at_once_of_what_is_new_and_what_is_not_wanted(
    client: TestClient, runner: VideoRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(runner, "poke", lambda: heard.append("poked"))
    monkeypatch.setattr(runner, "drop", heard.append)
    one, other = created(client)["id"], created(client)["id"]
    client.post(f"{VIDEOS}/{one}/cancel")
    client.delete(f"{VIDEOS}/{other}")
    assert heard == ["poked", "poked", one, other]


def test_a_database_that_does_not_answer_is_told_with_when_to_come_back(
    client: TestClient, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **facts: Any) -> None:
        raise JobStoreUnavailable("the database is gone", retry_after_s=5)

    for method in ("add", "get", "page", "cancel", "delete"):
        monkeypatch.setattr(store, method, fails)
    path = f"{VIDEOS}/{UNKNOWN}"
    for method, where in [
        ("POST", VIDEOS),
        ("GET", VIDEOS),
        ("GET", path),
        ("GET", f"{path}/content"),
        ("POST", f"{path}/cancel"),
        ("DELETE", path),
    ]:
        answer = client.request(method, where, json={"prompt": "waves"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
