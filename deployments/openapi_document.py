"""What the OpenAPI document says of each route beyond its signature: bodies, answers, errors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from fastapi.responses import Response
from pydantic.json_schema import models_json_schema

from cluster.access import needed_scope
from deployments import openapi_shapes as shapes
from deployments.openapi_requests import BODIES, FILE

ABOUT = """\
Pictures and clips by OpenAI's API, with quality tiers and deadlines. The official SDKs work against
it; what is beyond their keywords goes into `extra_body`.

Every error has OpenAI's envelope. `param` names the field that is wrong, and `Retry-After` says
when a refused request may be sent again. The receipt that comes with every result tells what was
done for it.
"""

ABOUT_KEYS = """\

Every request but those for health needs an API key, in the header `Authorization: Bearer KEY`. What
a key made is there for that key alone.
"""
"""Where the server asks for keys."""

TAGS = [
    {"name": "images", "description": "Pictures, at once, as a stream, or by URL."},
    {"name": "videos", "description": "Clips, made as jobs that outlive a restart."},
    {"name": "cluster", "description": "What is served, and how it is."},
]

_MEANINGS = {
    400: "A field has a wrong value",
    401: "No key was sent, or none that works",
    403: "The key may not do this, or the server answers only on its own machine",
    404: "There is no such model, result or video",
    408: "The body came too slowly",
    409: "The video has no clip, or the idempotency key came with another request before",
    413: "The body is too large",
    416: "The file has no such bytes",
    429: "The line is full, the key has used what it may, or the deadline cannot be kept",
    500: "The model failed on this request",
    503: "No replica runs, or a store does not answer; a later try may succeed",
    504: "A deadline that was promised has passed",
}

_RETRY_AFTER = {
    "Retry-After": {"description": "In seconds", "schema": {"type": "integer", "minimum": 0}}
}
_PART_HEADERS = {
    "Accept-Ranges": {"schema": {"const": "bytes"}},
    "ETag": {"schema": {"type": "string"}},
}
_CONTENT_RANGE = {"Content-Range": {"schema": {"type": "string"}}}

_EVENTS = "ImageEvents"
_KEY = "ApiKey"
_CLOSED = (401, 403, 503)
"""What any route that asks for a key may answer."""

_MAKING = (400, 404, 408, 413, 429, 500, 503, 504)


def generations() -> dict[str, Any]:
    return _operation(
        "Make pictures", shapes.Images, _MAKING, {"application/json": "ImageRequest"}, streams=True
    )


def edits() -> dict[str, Any]:
    return _operation(
        "Edit pictures",
        shapes.Images,
        _MAKING,
        {"multipart/form-data": "ImageEditForm", "application/json": "ImageEditRequest"},
        streams=True,
    )


def create_video() -> dict[str, Any]:
    bodies = {"application/json": "VideoRequest", "multipart/form-data": "VideoForm"}
    return _operation("Make a video", shapes.Video, (400, 404, 408, 409, 413, 429, 503), bodies)


def list_videos() -> dict[str, Any]:
    return _operation("List the videos", shapes.VideoPage, (400, 503))


def video() -> dict[str, Any]:
    return _operation("Look at a video", shapes.Video, (404, 503))


def cancel_video() -> dict[str, Any]:
    return _operation("Cancel a video", shapes.Video, (404, 503))


def delete_video() -> dict[str, Any]:
    return _operation("Delete a video", shapes.DeletedVideo, (404, 503))


def image_content() -> dict[str, Any]:
    kinds = ("image/png", "image/jpeg", "image/webp")
    return _content("Download a picture", kinds, (404, 503))


def video_content() -> dict[str, Any]:
    return _content("Download a video's clip", ("video/mp4",), (400, 404, 409, 503))


def models() -> dict[str, Any]:
    return _operation("List the models", shapes.ModelList)


def tiers() -> dict[str, Any]:
    return _operation("List the tiers", shapes.TierList)


def status() -> dict[str, Any]:
    return _operation("See how busy it is", shapes.Status)


def health() -> dict[str, Any]:
    return _operation("See whether it lives", shapes.Health, is_open=True)


def ready() -> dict[str, Any]:
    return _operation("See whether it is ready", shapes.Ready, (503,), is_open=True)


def metrics() -> dict[str, Any]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    answer = {"description": "Prometheus' text format", "content": text}
    return {
        "summary": "Read the metrics",
        "response_class": Response,
        "responses": {200: answer, **_errors(())},
    }


def tell_of_keys(document: dict[str, Any]) -> None:
    """Says in a document which operations ask for a key, and of which scope."""
    document["components"]["securitySchemes"] = {
        _KEY: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "dit_ID_SECRET",
            "description": "A key of `dit-serve keys add`. One of the scope `admin` may do all.",
        }
    }
    for path, operations in document["paths"].items():
        scope = needed_scope(path)
        for operation in operations.values():
            operation["security"] = [] if scope is None else [{_KEY: [scope]}]


@cache
def components() -> dict[str, Any]:
    """The schemas to which the operations refer, beyond those of their answers."""
    events = shapes.IMAGE_EVENTS
    _, of_events = models_json_schema(
        [(event, "serialization") for event in events], ref_template="#/components/schemas/{model}"
    )
    stream = {
        "type": "string",
        "contentMediaType": "text/event-stream",
        "description": "Events, each with the name that its data has for a `type`, or `error`.",
        "x-events": [_reference(event.__name__) for event in events],
    }
    return {**BODIES, **of_events["$defs"], _EVENTS: stream}


def _operation(
    summary: str,
    answer: type[shapes.Shape],
    errors: tuple[int, ...] = (),
    bodies: Mapping[str, str] | None = None,
    *,
    streams: bool = False,
    is_open: bool = False,
) -> dict[str, Any]:
    """`bodies` has the component of each media type that is taken."""
    good: dict[str, Any] = {"model": answer, "description": "Done"}
    if streams:
        good["content"] = {"text/event-stream": {"schema": _reference(_EVENTS)}}
    operation: dict[str, Any] = {
        "summary": summary,
        "response_model": None,
        "responses": {200: good, **_errors(errors, is_open=is_open)},
    }
    if bodies:
        content = {kind: {"schema": _reference(name)} for kind, name in bodies.items()}
        operation["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
    return operation


def _content(summary: str, media_types: tuple[str, ...], errors: tuple[int, ...]) -> dict[str, Any]:
    """The bytes of a result, whole or in part."""
    bodies = {"content": {kind: {"schema": FILE} for kind in media_types}}
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "The whole file", **bodies, "headers": _PART_HEADERS},
        206: {
            "description": "The part that is asked for",
            **bodies,
            "headers": _PART_HEADERS | _CONTENT_RANGE,
        },
        304: {"description": "The caller has it already"},
    }
    refused = _errors((*errors, 416))
    refused[416]["headers"] = _CONTENT_RANGE
    parameters = [
        _header("Range", "One part, as `bytes=0-1023`"),
        _header("If-Range", "The `ETag` of the file that the part is of"),
        _header("If-None-Match", "The `ETag` of a file that the caller has"),
    ]
    return {
        "summary": summary,
        "response_class": Response,
        "responses": answers | refused,
        "openapi_extra": {"parameters": parameters},
    }


def _errors(statuses: tuple[int, ...], *, is_open: bool = False) -> dict[int | str, dict[str, Any]]:
    statuses = (*statuses, 403) if is_open else (*statuses, *_CLOSED)
    answers: dict[int | str, dict[str, Any]] = {
        status: {"model": shapes.ErrorEnvelope, "description": _MEANINGS[status]}
        for status in sorted(set(statuses))
    }
    for status in {429, 503}.intersection(statuses):
        answers[status]["headers"] = _RETRY_AFTER
    return answers | {"default": {"model": shapes.ErrorEnvelope, "description": "Any other error"}}


def _header(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
