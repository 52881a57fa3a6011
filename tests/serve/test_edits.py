"""Pictures from pictures through the official SDK and a real server."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import openai
import pytest
from PIL import Image

from tests.serve.test_images import generate

pytestmark = pytest.mark.ray

RED = "a large red circle on a white background"
BLUE = "a large blue circle on a white background"


@pytest.fixture(scope="module")
def red(server: Any) -> bytes:
    with server.client() as http:
        return generate(http, prompt=RED, tier="none", seed=1)[0][0]


def pixels(file: bytes) -> npt.NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), dtype=float) / 255


def mask_of_the_left_half() -> bytes:
    """Transparent where the picture is to be redrawn."""
    mask = Image.new("RGBA", (128, 128), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 64, 128))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


def blueness(part: npt.NDArray[np.float64]) -> float:
    """How much more blue than red there is where it is not white."""
    return float((part[..., 2] - part[..., 0]).mean())


def test_a_picture_is_changed_as_the_prompt_says(sdk: openai.OpenAI, red: bytes) -> None:
    answer = sdk.images.edit(
        model="shapes", image=("red.png", red), prompt=BLUE, extra_body={"seed": 1, "tier": "none"}
    )
    assert answer.data
    edited = pixels(base64.b64decode(answer.data[0].b64_json or ""))
    assert blueness(edited) > 0.05 > blueness(pixels(red))
    receipt = (answer.model_extra or {})["receipt"]
    assert receipt["steps_computed"] < receipt["num_inference_steps"]


def test_only_what_the_mask_leaves_open_is_redrawn(sdk: openai.OpenAI, red: bytes) -> None:
    answer = sdk.images.edit(
        model="shapes",
        image=("red.png", red),
        mask=("mask.png", mask_of_the_left_half()),
        prompt=BLUE,
        extra_body={"seed": 1, "tier": "fast"},
    )
    assert answer.data
    edited, before = pixels(base64.b64decode(answer.data[0].b64_json or "")), pixels(red)
    change = np.abs(edited - before)
    assert change[:, :56].mean() > 5 * change[:, 72:].mean()
    assert change[:, 72:].mean() < 0.02


def test_an_edit_can_be_streamed(sdk: openai.OpenAI, red: bytes) -> None:
    seen = list(
        sdk.images.edit(
            model="shapes", image=[("red.png", red)], prompt=BLUE, stream=True, partial_images=1
        )
    )
    assert seen[-1].type == "image_edit.completed"
    assert {each.type for each in seen} <= {
        "image_edit.progress",
        "image_edit.partial_image",
        "image_edit.completed",
    }


@pytest.mark.parametrize(
    ("files", "fields", "param"),
    [
        ({}, {}, "image"),
        ({"image": b"not a picture"}, {}, "image"),
        ({"image": b"\x89PNG\r\n\x1a\n" + b"\0" * 40}, {}, "image"),
        ({"image": "RED", "mask": b"no mask"}, {}, "mask"),
        ({"image": "RED"}, {"strength": "2"}, "strength"),
        ({"image": "RED"}, {"n": "many"}, "n"),
        ({"image": "RED"}, {"model": "clips"}, "model"),
    ],
)
def test_a_bad_edit_is_refused_by_the_name_of_its_field(
    http: httpx.Client,
    red: bytes,
    files: dict[str, bytes | str],
    fields: dict[str, str],
    param: str,
) -> None:
    given = {name: red if file == "RED" else file for name, file in files.items()}
    answer = http.post(
        "/v1/images/edits",
        data={"prompt": BLUE} | fields,
        files=given or {"nothing": b""},  # type: ignore[arg-type]
    )
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] in (param, "nothing" if not files else param)
    assert "\n" not in error["message"]
