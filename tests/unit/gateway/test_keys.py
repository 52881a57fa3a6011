"""Who is let in over HTTP, and who sees whose work; all but the routers is real."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from cluster.access import OPEN
from cluster.config import ClusterConfig
from cluster.errors import ConfigError, JobStoreUnavailable
from cluster.key_limits import KeyLimits
from cluster.keys import Scope
from deployments import key_ring
from deployments.http_app import http_app
from deployments.job_store import JobStore
from deployments.key_file import KeyFile
from deployments.key_store import new_key
from deployments.results import ResultStore
from deployments.shelves import VIDEOS
from deployments.video_runner import VideoRunner
from tests.unit.gateway.documented import Document
from tests.unit.gateway.stand_in import CLIP, Routers, picture

GENERATIONS, VIDEO = "/v1/images/generations", {"model": "clips", "prompt": "waves"}
UNKNOWN = "dit_" + "a" * 10 + "_" + "S" * 43
LOOPBACK = ("127.0.0.1", 50000)
As = Callable[..., TestClient]


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    path = tmp_path / "keys.yaml"
    path.write_text("[]")
    return KeyFile(str(path))


def app_with(
    config: ClusterConfig,
    auth: Any,
    routers: Routers,
    store: JobStore,
    results: ResultStore,
) -> FastAPI:
    args = config.model_dump() | {"auth": auth}
    config = ClusterConfig.model_validate(args, strict=False)
    return http_app(config, routers, store, results, VideoRunner(config, routers, store, results))


@pytest.fixture
def app(
    config: ClusterConfig,
    routers: Routers,
    store: JobStore,
    results: ResultStore,
    file: KeyFile,
    monkeypatch: pytest.MonkeyPatch,
) -> FastAPI:
    monkeypatch.setattr(key_ring, "FRESH_S", 0.0)
    return app_with(config, {"keys_file": file.place}, routers, store, results)


@pytest.fixture
def document(app: FastAPI) -> Document:
    return Document(app.openapi())


@pytest.fixture
def with_key(app: FastAPI, document: Document) -> Iterator[As]:
    """A client that sends a text as its key; what it gets is held to the document."""
    with ExitStack() as stack:

        def client(text: str | None) -> TestClient:
            headers = {} if text is None else {"Authorization": f"Bearer {text}"}
            made = stack.enter_context(TestClient(app, headers=headers))
            made.event_hooks["response"].append(document.check)
            return made

        yield client


@pytest.fixture
def having(with_key: As, file: KeyFile) -> As:
    """A client with a new key of these scopes."""

    def client(*scopes: Scope, expires: datetime | None = None, limits: Any = None) -> TestClient:
        now = datetime.now(UTC)
        text, key = new_key("somebody", scopes or (Scope.GENERATE,), now, expires, limits)
        file.add(key)
        return with_key(text)

    return client


def key_id(client: TestClient) -> str:
    return client.headers["authorization"].split("_")[1]


def stored(client: TestClient) -> str:
    """The path of a picture that the client has made and that is kept."""
    answer = client.post(GENERATIONS, json={"prompt": "x", "response_format": "url"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"][0]["url"]).removeprefix("http://testserver")


def test_every_route_but_the_open_ones_asks_for_a_key(app: FastAPI, with_key: As) -> None:
    """Those that are added later as well, as it is asked of the application itself."""
    nobody, asked = with_key(None), 0
    for route in iter_route_contexts(app.routes):
        if route.path in OPEN | {"/openapi.json"}:
            continue
        for method in route.methods or ():
            path = re.sub(r"\{\w+\}", "x", str(route.path))
            answer = nobody.request(method, path)
            assert (answer.status_code, method, path) == (401, method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            asked += 1
    assert asked >= 15


def test_pages_and_health_are_open(with_key: As, routers: Routers) -> None:
    routers.answers["replicas"] = {name: {"cpu": 1} for name in routers.models}
    nobody = with_key(None)
    for path in ("/", "/studio/theme.css", "/docs", "/docs/page.js", "/openapi.json"):
        assert nobody.get(path).status_code == 200, path
    assert nobody.get("/health").status_code == nobody.get("/ready").status_code == 200


def test_no_key_is_told_from_another_that_does_not_work(
    with_key: As, having: As, file: KeyFile
) -> None:
    revoked, expired = having(), having(expires=datetime.now(UTC) - timedelta(seconds=1))
    file.revoke(key_id(revoked), datetime.now(UTC))
    right = having().headers["authorization"]
    wrong = [with_key(text) for text in (None, "", "x", UNKNOWN)] + [revoked, expired]
    answers = [client.get("/v1/models") for client in wrong]
    answers += [
        wrong[0].get("/v1/models", headers={"Authorization": header})
        for header in (right.replace("Bearer", "Basic"), right.removeprefix("Bearer "), right[:-1])
    ]
    answers.append(
        wrong[0].get("/v1/models", headers=[("Authorization", right), ("Authorization", right)])  # type: ignore[arg-type]
    )
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["error"]["code"] == "invalid_api_key"
    assert wrong[0].get("/v1/models", headers={"Authorization": right}).status_code == 200


def test_a_key_comes_in_the_header_alone(having: As, with_key: As) -> None:
    text = having().headers["authorization"].removeprefix("Bearer ")
    nobody = with_key(None)
    for name in ("api_key", "key", "token"):
        assert nobody.get("/v1/models", params={name: text}).status_code == 401
    nobody.cookies.set("Authorization", f"Bearer {text}")
    assert nobody.get("/v1/models").status_code == 401


def test_a_caller_without_a_key_is_refused_before_its_body_is_read(with_key: As) -> None:
    nobody = with_key(None)
    for path in (GENERATIONS, "/v1/images/edits", "/v1/videos"):
        assert nobody.post(path, content=b"x" * 300_000).status_code == 401
    assert nobody.get("/v1/videos?limit=no").status_code == 401


@pytest.mark.parametrize(
    ("scopes", "models", "metrics"),
    [
        ([Scope.GENERATE], 200, 403),
        ([Scope.METRICS], 403, 200),
        ([Scope.GENERATE, Scope.METRICS], 200, 200),
        ([Scope.ADMIN], 200, 200),
    ],
)
def test_a_key_does_what_its_scopes_are_for(
    having: As, scopes: list[Scope], models: int, metrics: int
) -> None:
    client = having(*scopes)
    answers = client.get("/v1/models"), client.get("/metrics")
    assert [answer.status_code for answer in answers] == [models, metrics]
    for answer, scope in zip(answers, ("generate", "metrics"), strict=True):
        if answer.status_code == 403:
            assert answer.json()["error"]["code"] == "insufficient_scope"
            assert f"it needs the scope {scope} or admin" in answer.json()["error"]["message"]


def test_a_job_carries_the_id_of_its_key(having: As, routers: Routers) -> None:
    ann = having()
    assert ann.post(GENERATIONS, json={"prompt": "x", "user": "u"}).status_code == 200
    assert [job.key_id for job in routers.jobs] == [key_id(ann)]


def test_a_picture_of_another_key_is_answered_as_one_that_is_not_there(having: As) -> None:
    ann, bob, root = having(), having(), having(Scope.ADMIN)
    path = stored(ann)
    assert ann.get(path).content == root.get(path).content == picture()
    nothing = re.sub(r"img_[0-9a-f]{24}", "img_" + "0" * 24, path)
    for ask in (bob.get, bob.head):
        refused, missing = ask(path), ask(nothing)
        assert (refused.status_code, missing.status_code) == (404, 404)
        assert refused.text.replace(path.split("/")[3], "ID") == missing.text.replace(
            nothing.split("/")[3], "ID"
        )
    # Whose it is stands in its name, and another name is another picture.
    assert bob.get(path.replace(key_id(ann), key_id(bob))).status_code == 404
    assert bob.get(path.replace(f"_{key_id(ann)}", "")).status_code == 404


def test_a_picture_from_before_there_were_keys_is_for_admin(
    having: As, results: ResultStore
) -> None:
    name = "img_" + "0" * 24 + "_0"
    results.put(f"images/{name}", picture())
    path = f"/v1/images/{name}/content"
    assert having().get(path).status_code == 404
    assert having(Scope.ADMIN).get(path).status_code == 200


def test_a_video_of_another_key_is_answered_as_one_that_is_not_there(
    having: As, store: JobStore, routers: Routers, results: ResultStore
) -> None:
    ann, bob, root = having(), having(), having(Scope.ADMIN)
    made = ann.post("/v1/videos", json=VIDEO).json()
    place, nothing = f"/v1/videos/{made['id']}", "/v1/videos/video_" + "0" * 24
    kept = store.get(made["id"], None)
    assert kept is not None
    assert kept.owner == key_id(ann)
    assert "key_id" not in kept.job

    for method, tail in [
        ("GET", ""),
        ("GET", "/content"),
        ("HEAD", "/content"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ]:
        refused = bob.request(method, place + tail)
        missing = bob.request(method, nothing + tail)
        assert (refused.status_code, missing.status_code) == (404, 404), (method, tail)
        assert refused.text.replace(place[-30:], "") == missing.text.replace(nothing[-30:], "")
    assert bob.get("/v1/videos").json()["data"] == []
    assert bob.get("/v1/videos", params={"after": made["id"]}).status_code == 400

    assert [each["id"] for each in ann.get("/v1/videos").json()["data"]] == [made["id"]]
    assert [each["id"] for each in root.get("/v1/videos").json()["data"]] == [made["id"]]
    assert root.get(place).json()["status"] == "queued"
    store.claim("here", 0.0, lease_s=60.0, max_attempts=3)
    results.put(VIDEOS.key(made["id"]), CLIP)
    receipt = {"seed": 1}
    store.complete(made["id"], "here", 1.0, receipt=receipt, result_bytes=len(CLIP))
    assert bob.get(place + "/content").status_code == 404
    assert root.delete(place).status_code == 200
    assert ann.get(place).status_code == 404


def refused(answer: httpx.Response, limit: str) -> int:
    """`Retry-After` of an answer that says that a key's limit is reached."""
    told = answer.json()["error"]
    assert (answer.status_code, told["type"], told["code"]) == (
        429,
        "rate_limit_error",
        "limit_reached",
    )
    assert told["message"].startswith(f"{limit}: this key "), told
    return int(answer.headers["retry-after"])


def test_a_key_that_has_used_what_it_may_is_answered_429_on_every_route_that_makes_pictures(
    having: As, routers: Routers
) -> None:
    """Each request counts once, however many pictures it asks for."""
    ann, bob = having(limits={"requests_per_minute": 3}), having()
    body = {"prompt": "x", "n": 4}
    form = {"data": {"prompt": "x"}, "files": {"image": picture()}}
    for _ in range(3):
        assert ann.post(GENERATIONS, json=body).status_code == 200
    for answer in (
        ann.post(GENERATIONS, json=body),
        ann.post(GENERATIONS, json=body | {"stream": True}),
        ann.post("/v1/images/edits", **form),
    ):
        assert 19 <= refused(answer, "requests_per_minute") <= 20
        assert "may send 3 requests a minute to shapes; try again in " in answer.text
    assert bob.post(GENERATIONS, json=body).status_code == 200


def test_a_keys_own_limits_hold_and_else_the_configs(
    config: ClusterConfig,
    routers: Routers,
    store: JobStore,
    results: ResultStore,
    file: KeyFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(key_ring, "FRESH_S", 0.0)
    args = config.model_copy(update={"key_limits": KeyLimits(requests_per_minute=1)})
    app = app_with(args, {"keys_file": file.place}, routers, store, results)
    made = {}
    for name, limits in [("usual", None), ("free", {}), ("own", {"requests_per_minute": 2})]:
        text, key = new_key(name, [Scope.GENERATE], datetime.now(UTC), None, limits)
        file.add(key)
        with TestClient(app, headers={"Authorization": f"Bearer {text}"}) as client:
            answers = [client.post(GENERATIONS, json={"prompt": "x"}) for _ in range(3)]
        made[name] = [answer.status_code for answer in answers]
    assert made == {"usual": [200, 429, 429], "free": [200] * 3, "own": [200, 200, 429]}


def test_a_video_counts_from_its_request_on_and_the_same_request_counts_once(
    having: As, store: JobStore, routers: Routers
) -> None:
    ann = having(limits={"in_flight": 1})
    again = {"Idempotency-Key": "order-1"}
    first = ann.post("/v1/videos", json=VIDEO, headers=again)
    same = ann.post("/v1/videos", json=VIDEO, headers=again)
    assert first.json()["id"] == same.json()["id"]
    assert refused(ann.post("/v1/videos", json=VIDEO), "in_flight") == 1
    assert refused(ann.post(GENERATIONS, json={"prompt": "x"}), "in_flight") == 1
    changed = ann.post("/v1/videos", json=VIDEO | {"prompt": "sand"}, headers=again)
    assert changed.json()["error"]["code"] == "idempotency_key_reused"
    assert len(ann.get("/v1/videos").json()["data"]) == 1


def test_a_video_that_cannot_be_kept_counts_no_more(
    having: As, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = having(limits={"in_flight": 1})

    def fails(*_: Any) -> None:
        raise JobStoreUnavailable("the database does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(store, "add", fails)
        assert ann.post("/v1/videos", json=VIDEO).status_code == 503
    assert ann.post("/v1/videos", json=VIDEO).status_code == 200


def test_two_keys_may_use_one_idempotency_key(having: As) -> None:
    again = {"Idempotency-Key": "order-1"}
    ann, bob = having(), having()
    first, other, same = (
        client.post("/v1/videos", json=VIDEO, headers=again).json()["id"]
        for client in (ann, bob, ann)
    )
    assert first != other
    assert first == same


def test_ids_of_results_have_96_random_bits(having: As) -> None:
    ann = having()
    ids = {stored(ann).split("/")[3].split("_")[1] for _ in range(50)}
    ids |= {ann.post("/v1/videos", json=VIDEO).json()["id"].split("_")[1] for _ in range(50)}
    assert len(ids) == 100
    assert {len(each) * 4 for each in ids} == {96}
    # No place of them is the same throughout, as the beginning of a clock's would be.
    assert all(len(set(digits)) > 5 for digits in zip(*ids, strict=True))


def test_the_document_declares_the_key_and_what_it_is_for(document: Document) -> None:
    assert "needs an API key" in document.document["info"]["description"]
    (scheme,) = document.document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    told = {
        path: operation["security"]
        for path, operations in document.document["paths"].items()
        for operation in operations.values()
    }
    assert told["/health"] == told["/ready"] == []
    assert told["/metrics"] == [{"ApiKey": ["metrics"]}]
    assert told["/v1/videos/{video_id}"] == [{"ApiKey": ["generate"]}]


def test_without_keys_the_document_declares_none(
    config: ClusterConfig, routers: Routers, store: JobStore, results: ResultStore
) -> None:
    told = app_with(config, "none", routers, store, results).openapi()
    assert "securitySchemes" not in told["components"]
    assert "API key" not in told["info"]["description"]


def test_without_keys_only_this_machine_is_answered(
    config: ClusterConfig, routers: Routers, store: JobStore, results: ResultStore
) -> None:
    app = app_with(config, "none", routers, store, results)
    document = Document(app.openapi())
    for peer, status in [(LOOPBACK, 200), (("::1", 1), 200), (("10.0.0.7", 1), 403)]:
        with TestClient(app, client=peer, base_url="http://127.0.0.1:8000") as client:
            client.event_hooks["response"].append(document.check)
            for path in ("/", "/health", "/v1/models", "/openapi.json", "/metrics"):
                assert client.get(path).status_code == status, (peer, path)
            answer = client.post(GENERATIONS, json={"prompt": "x"})
            assert answer.status_code == status
    assert answer.json()["error"]["code"] == "loopback_only"
    assert "open_to_network: true" in answer.json()["error"]["message"]


def test_a_store_of_keys_that_is_away_lets_nobody_in(
    having: As, file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = having()
    assert ann.get("/v1/models").status_code == 200
    Path(file.place).unlink()
    assert ann.get("/v1/models").status_code == 200
    monkeypatch.setattr(key_ring, "STALE_S", 0.0)
    answer = ann.get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "keys_unavailable")
    assert "retry-after" in answer.headers
    assert ann.get("/health").status_code == 200


def test_a_gateway_does_not_start_with_a_file_of_keys_that_is_none(
    config: ClusterConfig, routers: Routers, store: JobStore, results: ResultStore
) -> None:
    with pytest.raises(ConfigError, match=r"/no/keys\.yaml: cannot be read"):
        app_with(config, {"keys_file": "/no/keys.yaml"}, routers, store, results)


def test_keys_come_from_the_database_where_nothing_is_said(
    config: ClusterConfig, routers: Routers, store: JobStore, results: ResultStore
) -> None:
    from deployments.key_table import KeyTable

    app = app_with(config, {}, routers, store, results)
    text, key = new_key("ann", [Scope.GENERATE], datetime.now(UTC), None)
    table = KeyTable(config.database_url)
    table.add(key)
    table.close()
    with TestClient(app) as client:
        assert client.get("/v1/models").status_code == 401
        key_of_ann = {"Authorization": f"Bearer {text}"}
        assert client.get("/v1/models", headers=key_of_ann).status_code == 200


def test_no_answer_tells_the_secret(having: As) -> None:
    ann = having()
    secret = ann.headers["authorization"].split("_", 2)[2]
    answers = [
        ann.post(GENERATIONS, json={"prompt": "x"}),
        ann.post("/v1/videos", json=VIDEO),
        ann.get("/v1/nothing"),
        ann.get("/metrics"),
        ann.get("/v1/videos?limit=no"),
    ]
    assert not any(secret in answer.text + str(answer.headers) for answer in answers)
