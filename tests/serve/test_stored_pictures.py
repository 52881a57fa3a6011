"""Pictures by URL: from any gateway, whole or in part, until they expire."""

from __future__ import annotations

import httpx
import openai
import pytest

from tests.serve.test_images import PROMPT, generate

pytestmark = pytest.mark.ray

KINDS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


@pytest.mark.parametrize("output_format", sorted(KINDS))
def test_the_url_gives_the_bytes_that_the_answer_would_have_had(
    sdk: openai.OpenAI, http: httpx.Client, output_format: str
) -> None:
    answer = sdk.images.generate(
        model="shapes",
        prompt=PROMPT,
        n=2,
        response_format="url",
        output_format=output_format,  # type: ignore[arg-type]
        extra_body={"seed": 2, "tier": "fast"},
    )
    images, _ = generate(http, seed=2, tier="fast", n=2, output_format=output_format)
    assert answer.data
    for stored, image in zip(answer.data, images, strict=True):
        fetched = httpx.get(stored.url or "")
        assert fetched.content == image
        assert fetched.headers["content-type"] == KINDS[output_format]


def test_a_part_can_be_fetched_and_what_is_known_is_not_sent_again(
    sdk: openai.OpenAI,
) -> None:
    answer = sdk.images.generate(model="shapes", prompt=PROMPT, response_format="url")
    assert answer.data
    url = answer.data[0].url or ""
    whole = httpx.get(url)
    part = httpx.get(url, headers={"Range": "bytes=8-15"})
    assert (part.status_code, part.content) == (206, whole.content[8:16])
    assert part.headers["content-range"] == f"bytes 8-15/{len(whole.content)}"
    assert httpx.get(url, headers={"Range": "bytes=9999999-"}).status_code == 416
    known = httpx.get(url, headers={"If-None-Match": whole.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    head = httpx.head(url)
    assert head.headers["content-length"] == str(len(whole.content))


@pytest.mark.parametrize("picture", ["img_0", "img_" + "0" * 24 + "_0", "..%2f..%2fjobs.db"])
def test_no_other_picture_is_there(http: httpx.Client, picture: str) -> None:
    answer = http.get(f"/v1/images/{picture}/content")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
