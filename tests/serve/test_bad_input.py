"""Whatever is sent, the answer is one clear error in OpenAI's envelope, and the server goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

pytestmark = pytest.mark.ray

GOOD = {"prompt": "a red circle on a white background", "num_inference_steps": 1, "tier": "none"}


@pytest.fixture(autouse=True)
def _server_goes_on(http: httpx.Client) -> Iterator[None]:
    yield
    assert http.post("/v1/images/generations", json=GOOD).status_code == 200


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert "Traceback" not in error["message"]
    return dict(error)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "   "}, "prompt"),
        ({"prompt": "x" * 501}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"size": "100x100"}, "size"),
        ({"size": "0x128"}, "size"),
        ({"size": "256x256"}, "size"),
        ({"size": "-16x16"}, "size"),
        ({"size": "999999999999x16"}, "size"),
        ({"size": "big"}, "size"),
        ({"tier": "best"}, "tier"),
        ({"tier": "fast", "quality": "hd"}, "tier"),
        ({"tier": "fast", "min_tier": "slow"}, "min_tier"),
        ({"quality": "superb"}, "quality"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": "2"}, "n"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"num_inference_steps": 10_000}, "num_inference_steps"),
        ({"guidance_scale": -1}, "guidance_scale"),
        ({"guidance_scale": 1e400}, "guidance_scale"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"deadline_ms": 0}, "deadline_ms"),
        ({"priority": 11}, "priority"),
        ({"output_format": "bmp"}, "output_format"),
        ({"output_compression": 101}, "output_compression"),
        ({"output_compression": 50}, "output_compression"),
        ({"response_format": "file"}, "response_format"),
        ({"stream": "yes"}, "stream"),
        ({"partial_images": 2}, "partial_images"),
        ({"strength": 0.5}, "strength"),
        ({"user": "u" * 257}, "user"),
        ({"promt": "a"}, "promt"),
        ({"background": "transparent"}, "background"),
    ],
)
def test_a_bad_value_is_named(http: httpx.Client, fields: dict[str, Any], param: str) -> None:
    import json

    text = json.dumps(GOOD | fields).replace("Infinity", "1e400")
    answer = http.post(
        "/v1/images/generations", content=text, headers={"Content-Type": "application/json"}
    )
    error = error_of(answer, 400)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert param in error["message"]


def test_an_unknown_model_is_404(http: httpx.Client) -> None:
    error = error_of(http.post("/v1/images/generations", json=GOOD | {"model": "flux"}), 404)
    assert (error["param"], error["code"]) == ("model", "model_not_found")
    assert "shapes" in error["message"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"prompt": "a", "guidance_scale": NaN}', "NaN is not a JSON number"),
        (b"[1, 2]", "must be a JSON object, not list"),
        (b'"prompt"', "must be a JSON object, not str"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(
    http: httpx.Client, body: bytes, says: str
) -> None:
    answer = http.post(
        "/v1/images/generations", content=body, headers={"Content-Type": "application/json"}
    )
    assert says in error_of(answer, 400)["message"]


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", ""])
def test_another_content_type_is_refused_by_name(http: httpx.Client, content_type: str) -> None:
    answer = http.post(
        "/v1/images/generations", content=b"{}", headers={"Content-Type": content_type}
    )
    assert "must be application/json" in error_of(answer, 400)["message"]


def test_a_body_of_100_mb_is_refused_without_being_read(http: httpx.Client) -> None:
    started = time.monotonic()
    answer = http.post(
        "/v1/images/generations",
        content=b'{"prompt": "' + b"x" * 100_000_000,
        headers={"Content-Type": "application/json"},
    )
    assert error_of(answer, 413)["code"] == "request_too_large"
    assert time.monotonic() - started < 30


def test_a_long_body_without_a_declared_length_is_refused_too(http: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 10_000

    answer = http.post(
        "/v1/images/generations", content=chunks(), headers={"Content-Type": "application/json"}
    )
    error_of(answer, 413)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/images/generations", 405), ("POST", "/v1/models", 405), ("GET", "/nothing", 404)],
)
def test_a_wrong_route_is_told_in_the_envelope(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    assert path in error_of(http.request(method, path), status)["message"]


def test_the_sdk_raises_its_own_error_with_our_sentence(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="multiples of 16") as refused:
        sdk.images.generate(model="shapes", prompt="a", size="100x100")  # type: ignore[call-overload]
    assert refused.value.param == "size"
