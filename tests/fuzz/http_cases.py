"""Requests that schemathesis makes of the OpenAPI document, right ones and wrong ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import requests
import schemathesis
from hypothesis import reject
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.gateway_app import REFUSALS, Target
from tests.fuzz.trials import Tried, tried
from tests.unit.gateway.stand_in import picture

HERE = "http://testserver"

PLAUSIBLE: dict[str, Any] = {
    "prompt": "a red circle",
    "model": None,
    "n": 2,
    "size": "64x32",
    "num_inference_steps": 4,
    "num_frames": 5,
    "tier": None,
    "min_tier": None,
    "quality": None,
    "deadline_ms": None,
    "strength": None,
    "output_format": None,
    "output_compression": None,
    "partial_images": None,
    "seconds": 1,
    "image": [picture()],
    "mask": None,
    "input_reference": None,
}
"""Values within the limits of the models, of which the document knows nothing."""

_SOME = st.frozensets(st.sampled_from(sorted(PLAUSIBLE)))

ANSWERED_AS_DOCUMENTED = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

EVENTS = {
    "progress": "ImageProgress",
    "partial_image": "PartialImage",
    "completed": "CompletedImage",
}
"""Schemas of the events of a stream by the end of their names; any other event is an error."""

_SENT = {"method", "url", "headers", "params", "data", "json", "files", "cookies"}


def operations_of(target: Target) -> dict[str, Any]:
    """Schemathesis' operations by what they are called, such as `GET /v1/models`."""
    schema = schemathesis.openapi.from_dict(target.app.openapi())
    found = (result.ok() for result in schema.get_all_operations())
    return {operation.label: operation for operation in found}


def try_operation(target: Target, operation: Any, most: int, seed: int) -> Tried:
    """Up to `most` requests to one operation, about half of them of the schema and half not."""
    inputs = st.tuples(_cases(operation), st.sampled_from(REFUSALS), st.data())
    return tried(operation.label, inputs, _outcome(target), most, seed)


def _cases(operation: Any) -> st.SearchStrategy[Case]:
    """An operation without parameters and body has no requests that are wrong by its schema."""
    right = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if not (operation.body or operation.query or operation.headers):
        return right
    wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    return st.one_of(right, _those_it_can_judge(wrong))


@st.composite
def _those_it_can_judge(draw: st.DrawFn, cases: st.SearchStrategy[Case]) -> Case:
    """Without a few forms with files on which schemathesis 4.32 fails once it has broken them."""
    try:
        return draw(cases)
    except ValueError as error:
        if str(error) != "Unsupported type: 'Binary'":
            raise
        reject()


def _outcome(target: Target) -> Callable[[Any], str]:
    def outcome(drawn: Any) -> str:
        case, target.routers.refusal, data = drawn
        changed = _made_plausible(case, target, data)
        answer = _answer(target, case)
        try:
            _check(target, case, answer, changed)
        except Exception as error:
            error.add_note(case.as_curl_command())
            raise
        if case.method == "DELETE" and answer.status_code == 200:
            target.replenish()
        return str(answer.status_code)

    return outcome


def _check(target: Target, case: Case, answer: Any, changed: bool) -> None:
    """Asserts that it is an answer of the document; `changed` requests may be right or wrong."""
    status, refused = answer.status_code, target.routers.refusal
    assert status < 500 or (refused and status == refused.http_status), answer.text
    target.document.check(answer)
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        _check_events(answer.text, target)
    else:
        checks = [*ANSWERED_AS_DOCUMENTED, *([] if changed else [negative_data_rejection])]
        case.validate_response(answer, checks=checks)


def _made_plausible(case: Case, target: Target, data: Any) -> bool:
    """Now and then with an id that exists, and with some fields that a model takes."""
    changed = False
    known = {"image_id": [target.image_id], "video_id": target.video_ids}
    for name in case.path_parameters or {}:
        if data.draw(st.booleans()):
            case.path_parameters[name] = data.draw(st.sampled_from(known[name]))
            changed = True
    if not isinstance(case.body, dict):
        return changed
    every = frozenset(PLAUSIBLE)
    for name in data.draw(st.sampled_from([frozenset(), every]) | _SOME) & case.body.keys():
        changed = True
        if PLAUSIBLE[name] is None:
            del case.body[name]
        else:
            case.body[name] = PLAUSIBLE[name]
    return changed


def _check_events(text: str, target: Target) -> None:
    """Schemathesis takes the schema of a stream for that of each event."""
    for event in text.strip().split("\n\n"):
        name, _, data = event.partition("\n")
        shape = EVENTS.get(name.rpartition(".")[2], "ErrorEnvelope")
        target.document.matches(shape, json.loads(data.removeprefix("data: ")))


def _answer(target: Target, case: Case) -> Any:
    sent = case.as_transport_kwargs(base_url=HERE)
    request = requests.Request(**{key: sent[key] for key in _SENT & sent.keys()}).prepare()
    headers = [(_bytes(name), _bytes(value)) for name, value in request.headers.items()]
    assert request.method is not None
    return target.client.request(
        request.method, str(request.url), content=request.body, headers=headers
    )


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1", "replace")
