"""The OpenAPI document: valid, and of every route whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from starlette.testclient import TestClient

from cluster.config import ClusterConfig
from cluster.errors import Failure, Refusal, RequestError
from cluster.request import GenerateRequest, VideoRequest, parse_request, parse_video_request
from deployments.http_app import http_app
from deployments.job_store import JobStore
from deployments.openapi_requests import WORDS
from deployments.results import ResultStore
from deployments.video_runner import VideoRunner
from tests.unit.gateway.documented import Document
from tests.unit.gateway.stand_in import Routers

PICTURES = {"images", "mask", "input_reference"}
"""Files: of a form, of the Python handle, or of an address in JSON."""

OF_CLIPS = {"num_frames", "fps"}
"""What the routes of pictures refuse, as they make none."""

FIELDS = {
    "ImageRequest": set(GenerateRequest.model_fields) - PICTURES - OF_CLIPS - {"strength"},
    "ImageEditForm": set(GenerateRequest.model_fields) - {"images"} - OF_CLIPS | {"image"},
    "ImageEditRequest": set(GenerateRequest.model_fields) - OF_CLIPS,
    "VideoRequest": set(VideoRequest.model_fields),
    "VideoForm": set(VideoRequest.model_fields),
}


def operations(document: Document) -> Iterator[tuple[str, Any]]:
    for path, methods in document.document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def schemas_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document, however deep."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from schemas_in(each)
    if isinstance(value, list):
        for each in value:
            yield from schemas_in(each)


def leaves(kind: type[Any]) -> set[type[Any]]:
    below = kind.__subclasses__()
    return set().union(*map(leaves, below)) if below else {kind}


def test_the_document_is_valid(document: Document) -> None:
    validate(document.document, cls=OpenAPIV31SpecValidator)


def test_it_is_served_as_it_is(client: TestClient, document: Document) -> None:
    answer = client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document.document


def test_every_route_is_in_it_but_for_pages_and_heads(app: FastAPI, document: Document) -> None:
    there = {
        f"{method} {route.path}"
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if method != "HEAD"
    }
    pages = {"/", "/studio/{name}", "/docs", "/docs/{name}", "/openapi.json"}
    assert there - {name for name, _ in operations(document)} == {f"GET {page}" for page in pages}


def test_every_operation_says_what_it_is_for(document: Document) -> None:
    tags = {tag["name"] for tag in document.document["tags"]}
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"].endswith((".", "then.")), name
        assert set(operation["tags"]) <= tags, name
        assert len(operation["tags"]) == 1, name


def test_every_parameter_and_every_field_is_described(document: Document) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (name, parameter["name"])
        assert set(re.findall(r"\{(\w+)\}", name)) == {
            parameter["name"]
            for parameter in operation.get("parameters", [])
            if parameter["in"] == "path"
        }
    for body in FIELDS:
        for field, schema in document.document["components"]["schemas"][body]["properties"].items():
            assert schema["description"] == WORDS[field]


@pytest.mark.parametrize("body", FIELDS)
def test_a_body_has_the_fields_that_are_taken_and_no_other(document: Document, body: str) -> None:
    schema = document.document["components"]["schemas"][body]
    assert set(schema["properties"]) == FIELDS[body]
    assert schema["additionalProperties"] is False
    needed = {"prompt", "image"} if body == "ImageEditForm" else {"prompt"}
    assert set(schema["required"]) == needed | ({"images"} & set(schema["properties"]))


@pytest.mark.parametrize(
    ("body", "parse"), [("ImageRequest", parse_request), ("VideoRequest", parse_video_request)]
)
def test_the_words_and_bounds_of_a_body_are_taken_and_null_is_as_well(
    document: Document, body: str, parse: Any
) -> None:
    for field, schema in document.document["components"]["schemas"][body]["properties"].items():
        told = [*schema.get("enum", []), schema.get("minimum"), schema.get("maximum")]
        told += [None] if "null" in schema["type"] else []
        for value in told:
            parse({"prompt": "waves", field: value} if field != "prompt" else {"prompt": "waves"})


def test_no_form_has_nulls(document: Document) -> None:
    for body in ("ImageEditForm", "VideoForm"):
        for schema in schemas_in(document.document["components"]["schemas"][body]):
            assert "null" not in schema.get("type", [])
            assert None not in schema.get("enum", [])


def test_every_error_has_the_envelope_and_none_is_fastapis_own(document: Document) -> None:
    envelope = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}}}
    for name, operation in operations(document):
        assert "422" not in operation["responses"], name
        assert operation["responses"]["default"]["content"] == envelope
        for status, answer in operation["responses"].items():
            if status.isdigit() and int(status) >= 400:
                assert answer["content"] == envelope, (name, status)
            if status in ("429", "503"):
                assert "Retry-After" in answer["headers"], (name, status)
    assert "ValidationError" not in document.document["components"]["schemas"]


def test_every_error_that_work_can_meet_is_told_where_work_is_asked_for(document: Document) -> None:
    told = dict(operations(document))
    pictures = set(told["POST /v1/images/generations"]["responses"])
    assert pictures == set(told["POST /v1/images/edits"]["responses"])
    videos = set(told["POST /v1/videos"]["responses"])
    content = set(told["GET /v1/videos/{video_id}/content"]["responses"])
    for kind in leaves(RequestError) | leaves(Refusal) | leaves(Failure):
        assert str(kind.http_status) in pictures | videos | content, kind


def test_every_event_of_a_stream_is_told(document: Document) -> None:
    for path in ("generations", "edits"):
        operation = document.document["paths"][f"/v1/images/{path}"]["post"]
        stream = operation["responses"]["200"]["content"]["text/event-stream"]["schema"]
        assert stream == {"$ref": "#/components/schemas/ImageEvents"}
    events = document.document["components"]["schemas"]["ImageEvents"]["x-events"]
    assert {each["$ref"].rpartition("/")[2] for each in events} == {
        "ImageProgress",
        "PartialImage",
        "CompletedImage",
        "ErrorEnvelope",
    }


def test_behind_a_route_prefix_the_document_names_it(app: FastAPI) -> None:
    with TestClient(app, root_path="/gpu/dit") as client:
        assert client.get("/gpu/dit/openapi.json").json()["servers"] == [{"url": "/gpu/dit"}]
        assert client.get("/gpu/dit/v1/models").status_code == 200
    with TestClient(app) as client:
        assert "servers" not in client.get("/openapi.json").json()


def test_with_a_public_address_the_document_and_the_urls_of_results_name_that(
    config: ClusterConfig,
    routers: Routers,
    store: JobStore,
    results: ResultStore,
    runner: VideoRunner,
) -> None:
    public = config.model_copy(update={"public_url": "https://pictures.example/dit/"})
    app = http_app(public, routers, store, results, runner)
    with TestClient(app, root_path="/prefix") as client:
        told = client.get("/prefix/openapi.json").json()
        assert told["servers"] == [{"url": "https://pictures.example/dit"}]
        body = {"prompt": "a red circle", "response_format": "url"}
        (made,) = client.post("/prefix/v1/images/generations", json=body).json()["data"]
    assert made["url"].startswith("https://pictures.example/dit/v1/images/img_")


def test_behind_a_prefix_the_urls_of_results_have_it(app: FastAPI) -> None:
    with TestClient(app, root_path="/gpu/dit") as client:
        body = {"prompt": "a red circle", "response_format": "url"}
        (made,) = client.post("/gpu/dit/v1/images/generations", json=body).json()["data"]
        assert made["url"].startswith("http://testserver/gpu/dit/v1/images/")
        assert client.get(made["url"]).status_code == 200


PAGE = Path("deployments/api_page")


def test_the_page_and_its_files_may_do_no_more_than_they_must(client: TestClient) -> None:
    for path in PAGE.iterdir():
        answer = client.get("/docs" if path.name == "index.html" else f"/docs/{path.name}")
        assert (answer.status_code, answer.content) == (200, path.read_bytes())
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        tag = {"If-None-Match": answer.headers["etag"]}
        assert client.get(answer.url, headers=tag).status_code == 304
    assert client.head("/docs").status_code == 200


@pytest.mark.parametrize("name", ["index.html", "none.js", "..%2fgateway.py", "page.css%00"])
def test_no_other_file_is_answered(client: TestClient, name: str) -> None:
    assert client.get(f"/docs/{name}").status_code == 404


def test_the_page_asks_for_nothing_from_elsewhere_and_makes_no_markup_of_text() -> None:
    asked = set(re.findall(r'(?:href|src)="docs/([^"]+)"', (PAGE / "index.html").read_text()))
    assert asked == {path.name for path in PAGE.iterdir()} - {"index.html"}
    for path in PAGE.iterdir():
        text = path.read_text()
        assert not re.search(r"https?://", text), path
        assert not re.search(r"(inner|outer)HTML|insertAdjacentHTML|eval\(|<script>", text), path
