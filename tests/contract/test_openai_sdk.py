"""The openai SDK's `images.generate`: we know each of its keywords, as a field or as refused."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

import pytest
from openai.resources.images import Images
from openai.types.image_generate_params import ImageGenerateParamsBase

from cluster.config import parse_size
from cluster.errors import InvalidRequest
from cluster.job import OutputFormat
from cluster.request import GenerateRequest, parse_request
from cluster.tiers import QUALITY_WORDS

TRANSPORT = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
"""Keywords for the SDK itself, which are not part of the body."""
REFUSED = {
    "background",
    "complexity",
    "frame_count",
    "frame_duration_ms",
    "moderation",
    "partial_images",
    "safety_identifier",
    "style",
    "svg",
}
REFUSED_QUALITIES = {"xhigh", "max"}
REFUSED_FORMATS = {"gif", "svg"}


def keywords() -> set[str]:
    return set(inspect.signature(Images.generate).parameters) - TRANSPORT


def words(keyword: str) -> set[str]:
    """The strings that the SDK's type of a keyword names, however deep they stand."""

    def strings(hint: Any) -> set[str]:
        if isinstance(hint, str):
            return {hint}
        return set().union(*(strings(part) for part in get_args(hint)))

    return strings(get_type_hints(ImageGenerateParamsBase)[keyword])


def test_every_keyword_of_the_sdk_is_a_field_of_ours_or_known_to_be_refused():
    assert keywords() - set(GenerateRequest.model_fields) == REFUSED


@pytest.mark.parametrize("keyword", sorted(REFUSED))
def test_a_keyword_that_we_do_not_take_is_refused_by_name(keyword: str):
    with pytest.raises(InvalidRequest, match=keyword) as caught:
        parse_request({"prompt": "a red circle", keyword: None})
    assert caught.value.param == keyword


def test_every_quality_of_the_sdk_is_a_word_of_ours_or_known_to_be_refused():
    assert words("quality") - set(QUALITY_WORDS) == REFUSED_QUALITIES
    assert set(QUALITY_WORDS) - words("quality") == set()


@pytest.mark.parametrize("quality", sorted(QUALITY_WORDS))
def test_every_quality_that_we_know_is_taken(quality: str):
    assert parse_request({"prompt": "a red circle", "quality": quality}).quality == quality


def test_every_output_format_of_the_sdk_is_ours_or_known_to_be_refused():
    assert words("output_format") - set(get_args(OutputFormat)) == REFUSED_FORMATS
    assert set(get_args(OutputFormat)) - words("output_format") == set()


@pytest.mark.parametrize("size", sorted(words("size") - {"auto"}))
def test_every_size_that_the_sdk_names_is_a_size(size: str):
    width, height = parse_size(size)
    assert f"{width}x{height}" == size
