"""The openai SDK: we know each keyword of its calls, as a field of ours or as refused."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

import pytest
from openai.resources.images import Images
from openai.resources.videos import Videos
from openai.types import VideoSeconds, VideoSize
from openai.types.image_edit_params import ImageEditParamsBase
from openai.types.image_generate_params import ImageGenerateParamsBase

from cluster.config import parse_size
from cluster.errors import InvalidRequest
from cluster.job import OutputFormat
from cluster.request import (
    GenerateRequest,
    VideoRequest,
    parse_request,
    parse_video_request,
)
from cluster.tiers import QUALITY_WORDS

TRANSPORT = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
"""Keywords for the SDK itself, which are not part of the body."""
REFUSED = {
    "background",
    "complexity",
    "frame_count",
    "frame_duration_ms",
    "moderation",
    "safety_identifier",
    "style",
    "svg",
}
REFUSED_OF_EDITS = REFUSED - {"moderation", "style"} | {"input_fidelity", "markup"}
REFUSED_QUALITIES = {"xhigh", "max"}
REFUSED_FORMATS = {"gif", "svg"}
FORMAT_OF_CLIPS = "mp4"


def keywords(call: Any) -> set[str]:
    return set(inspect.signature(call).parameters) - TRANSPORT


def strings(hint: Any) -> set[str]:
    """The strings that a type names, however deep they stand."""
    if isinstance(hint, str):
        return {hint}
    return set().union(*(strings(part) for part in get_args(hint)))


def words(keyword: str, params: Any = ImageGenerateParamsBase) -> set[str]:
    """What the SDK names for a keyword."""
    return strings(get_type_hints(params)[keyword])


def test_every_keyword_of_the_sdk_is_a_field_of_ours_or_known_to_be_refused():
    assert keywords(Images.generate) - set(GenerateRequest.model_fields) == REFUSED


def test_every_keyword_for_an_edit_is_a_field_a_file_or_known_to_be_refused():
    assert keywords(Images.edit) - set(GenerateRequest.model_fields) - {"image"} == (
        REFUSED_OF_EDITS
    )


def test_every_keyword_for_a_video_is_a_field_of_ours():
    assert keywords(Videos.create) - set(VideoRequest.model_fields) == set()


@pytest.mark.parametrize("keyword", ["remix", "edit", "extend", "create_character"])
def test_what_else_the_sdk_does_with_videos_is_known(keyword: str):
    assert hasattr(Videos, keyword)


@pytest.mark.parametrize("keyword", sorted(REFUSED | REFUSED_OF_EDITS))
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
    assert set(get_args(OutputFormat)) - words("output_format") == {FORMAT_OF_CLIPS}


@pytest.mark.parametrize("params", [ImageGenerateParamsBase, ImageEditParamsBase])
def test_every_way_to_answer_of_the_sdk_is_ours(params: Any):
    for response_format in words("response_format", params):
        parsed = parse_request({"prompt": "a red circle", "response_format": response_format})
        assert parsed.response_format == response_format


@pytest.mark.parametrize("seconds", sorted(strings(VideoSeconds)))
@pytest.mark.parametrize("size", sorted(strings(VideoSize)))
def test_every_length_and_size_of_a_video_that_the_sdk_names_is_one(seconds: str, size: str):
    parsed = parse_video_request({"prompt": "waves", "seconds": seconds, "size": size})
    assert parsed.seconds == float(seconds)
    assert parse_size(parsed.size)


@pytest.mark.parametrize("size", sorted(words("size") - {"auto"}))
def test_every_size_that_the_sdk_names_is_a_size(size: str):
    width, height = parse_size(size)
    assert f"{width}x{height}" == size
