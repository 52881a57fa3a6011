"""The events of a picture in the making, as OpenAI's SDK reads them and as ours show progress."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai._streaming import SSEDecoder
from openai.types import (
    ImageEditCompletedEvent,
    ImageEditPartialImageEvent,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
)

from cluster.errors import EngineFailed, OutOfReach
from cluster.progress import Progress
from cluster.receipt import GenerateResult, Stored
from deployments.event_stream import ImageEvents, Kind, error_event
from deployments.openapi_shapes import (
    CompletedImage,
    ErrorEnvelope,
    ImageProgress,
    PartialImage,
)
from tests.unit.cluster.jobs import job
from tests.unit.receipts import receipt


def events(kind: Kind = "image_generation") -> ImageEvents:
    return ImageEvents(kind, job(width=64, height=32), lambda key: f"http://here/{key}")


def read(*sent: bytes) -> Iterator[tuple[str | None, Any]]:
    """Name and data of each event, as the official SDK takes them from the wire."""
    for event in SSEDecoder().iter_bytes(iter(sent)):
        yield event.event, json.loads(event.data)


def test_progress_says_how_many_steps_are_done():
    ((name, data),) = read(*events().of(Progress("running", 3, 28)))
    assert name == data["type"] == "image_generation.progress"
    assert (data["state"], data["step"], data["steps"]) == ("running", 3, 28)
    ImageProgress.model_validate(data)


@pytest.mark.parametrize(
    ("kind", "of_the_sdk"),
    [
        ("image_generation", ImageGenPartialImageEvent),
        ("image_edit", ImageEditPartialImageEvent),
    ],
)
def test_the_sdk_reads_previews_which_are_numbered(kind: Kind, of_the_sdk: Any):
    stream = events(kind)
    sent = [*stream.of(b"first"), *stream.of(Progress("running", 9, 28)), *stream.of(b"second")]
    previews = [data for name, data in read(*sent) if name == f"{kind}.partial_image"]
    for index, (data, file) in enumerate(zip(previews, (b"first", b"second"), strict=True)):
        PartialImage.model_validate(data)
        event = of_the_sdk.model_validate(data)
        assert event.partial_image_index == index
        assert base64.b64decode(event.b64_json) == file
        assert (event.size, event.output_format) == ("64x32", "png")


@pytest.mark.parametrize(
    ("kind", "of_the_sdk"),
    [("image_generation", ImageGenCompletedEvent), ("image_edit", ImageEditCompletedEvent)],
)
def test_the_sdk_reads_one_end_for_each_picture_with_the_receipt(kind: Kind, of_the_sdk: Any):
    result = GenerateResult((b"one", b"two"), receipt(n=2), "png")
    found = list(read(*events(kind).of(result)))
    assert [name for name, _ in found] == [f"{kind}.completed"] * 2
    for (_, data), file in zip(found, (b"one", b"two"), strict=True):
        CompletedImage.model_validate(data)
        event = of_the_sdk.model_validate(data, strict=True)
        assert base64.b64decode(event.b64_json) == file
        assert event.usage.total_tokens == 0
        assert data["receipt"]["request_id"] == "img_1"


def test_a_stored_picture_is_told_by_where_it_is():
    result = GenerateResult((), receipt(), "png", (Stored("images/img_1_0", 3),))
    ((_, data),) = read(*events().of(result))
    CompletedImage.model_validate(data)
    assert data["url"] == "http://here/images/img_1_0"
    assert "b64_json" not in data


def test_a_failure_is_an_event_of_its_own_with_the_envelope():
    ((name, data),) = read(error_event(EngineFailed("out of memory\nat once")))
    assert name == "error"
    ErrorEnvelope.model_validate(data)
    assert data["error"]["message"] == "out of memory\nat once"
    assert data["error"]["code"] == "engine_failed"


def test_a_deadline_out_of_reach_tells_the_earliest_in_the_stream_too():
    ((_, data),) = read(error_event(OutOfReach("no", earliest_feasible_s=2.5)))
    assert data["error"]["earliest_feasible_s"] == 2.5


def test_no_text_of_a_model_can_end_an_event_early():
    told = receipt(tier_reason="data: x\n\nevent: image_generation.completed\n\n")
    (sent,) = events().of(GenerateResult((b"one",), told, "png"))
    assert sent.count(b"\n\n") == 1
    assert len(list(read(sent))) == 1
