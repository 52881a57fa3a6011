"""Pictures through the official SDK, plain HTTP and the Python handle: the same ones."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from cluster.receipt import Receipt
from demo.adherence import judge
from tests.serve.server import Server

pytestmark = pytest.mark.ray

PROMPT = "a red circle left of a blue square on a white background"


def generate(http: httpx.Client, **fields: Any) -> tuple[list[bytes], Receipt]:
    answer = http.post("/v1/images/generations", json={"prompt": PROMPT, "seed": 1} | fields)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    images = [base64.b64decode(item["b64_json"]) for item in body["data"]]
    return images, Receipt.model_validate_json(json.dumps(body["receipt"]))


@pytest.mark.parametrize("tier", ["none", "slow", "medium", "fast", "ultra"])
def test_the_official_sdk_gets_a_picture_of_each_tier(sdk: openai.OpenAI, tier: str) -> None:
    answer = sdk.images.generate(
        model="shapes", prompt=PROMPT, extra_body={"tier": tier, "seed": 1}
    )
    assert answer.data
    picture = Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json or "")))
    receipt = answer.model_extra["receipt"] if answer.model_extra else {}
    assert (picture.format, picture.size) == ("PNG", (128, 128))
    assert (receipt["tier_requested"], receipt["tier_served"]) == (tier, tier)
    assert receipt["steps_computed"] + receipt["steps_cached"] == 28
    assert (receipt["steps_cached"] == 0) == (tier == "none")


def test_every_field_of_the_sdk_that_we_take_has_its_effect(sdk: openai.OpenAI) -> None:
    answer = sdk.images.generate(
        model="shapes",
        prompt=PROMPT,
        n=2,
        size="64x96",  # type: ignore[arg-type]
        quality="low",
        response_format="b64_json",
        output_format="webp",
        output_compression=50,
        user="somebody",
    )
    assert answer.data
    pictures = [
        Image.open(io.BytesIO(base64.b64decode(item.b64_json or ""))) for item in answer.data
    ]
    assert [(picture.format, picture.size) for picture in pictures] == [("WEBP", (64, 96))] * 2
    assert (answer.model_extra or {})["receipt"]["tier_served"] == "ultra"


def test_the_same_request_gives_the_same_bytes_and_its_seed_is_on_the_receipt(
    http: httpx.Client,
) -> None:
    first, receipt = generate(http, seed=None)
    again, _ = generate(http, seed=receipt.seed)
    other, _ = generate(http, seed=receipt.seed + 1)
    assert first == again != other


def test_who_says_nothing_gets_the_default_and_auto_nothing_under_the_floor(
    http: httpx.Client,
) -> None:
    assert generate(http)[1].tier_served == "medium"
    assert generate(http, tier="auto")[1].tier_served in ("none", "slow", "medium")
    assert generate(http, min_tier="slow")[1].tier_served in ("none", "slow")
    assert generate(http, quality="hd")[1].tier_served == "none"


def test_a_kept_deadline_is_on_the_receipt_and_a_forecast_after_two_like_it(
    http: httpx.Client,
) -> None:
    for _ in range(2):
        generate(http, num_inference_steps=9)
    receipt = generate(http, num_inference_steps=9, deadline_ms=60_000)[1]
    assert receipt.deadline_met is True
    assert receipt.forecast_s is not None
    assert 0.1 < receipt.forecast_s / (receipt.encode_s + receipt.denoise_s + receipt.decode_s) < 10


def test_few_steps_are_told_in_the_receipts_notes(http: httpx.Client) -> None:
    assert "no step mask under 8 steps" in generate(http, num_inference_steps=4)[1].notes[0]


def test_the_picture_obeys_its_prompt(http: httpx.Client) -> None:
    images, _ = generate(http, tier="none")
    found = judge(PROMPT, Image.open(io.BytesIO(images[0])))
    assert found is not None
    assert found[0] >= found[1] - 1


_HANDLE_SCRIPT = """
import hashlib, json, sys
import ray
from ray import serve
from cluster.errors import InvalidRequest
from cluster.request import GenerateRequest

ray.init(address=sys.argv[1], log_to_driver=False)
handle = serve.get_app_handle("dit-serve")
fields = json.loads(sys.argv[2])
by_mapping = handle.generate.remote(fields).result(timeout_s=60)
by_request = handle.generate.remote(GenerateRequest(**fields)).result(timeout_s=60)
assert by_mapping.images == by_request.images
try:
    handle.generate.remote({"prompt": "x", "tier": "best"}).result(timeout_s=60)
except InvalidRequest as error:
    refused = error.cause.message
print(json.dumps({
    "pictures": [hashlib.sha256(image).hexdigest() for image in by_mapping.images],
    "receipt": by_mapping.receipt.model_dump(mode="json"),
    "refused": refused,
}))
"""


def test_the_python_handle_gives_the_same_picture_and_receipt(
    server: Server, http: httpx.Client
) -> None:
    fields = {"prompt": PROMPT, "seed": 4, "tier": "fast", "n": 2}
    images, by_http = generate(http, **fields)
    answer = json.loads(server.driven_by(_HANDLE_SCRIPT, json.dumps(fields)))
    assert answer["pictures"] == [hashlib.sha256(image).hexdigest() for image in images]
    assert answer["refused"].startswith("tier: ")
    varying = {name for name in Receipt.model_fields if name.endswith("_s")} | {"request_id"}
    ours = {key: value for key, value in answer["receipt"].items() if key not in varying}
    assert ours == by_http.model_dump(mode="json", exclude=varying)
