"""A caller's body as a request, and the error that names the field that is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import ClusterConfig
from cluster.errors import InvalidRequest, RequestError
from cluster.request import GenerateRequest, VideoRequest, parse_request, parse_video_request
from cluster.sections import shown
from cluster.settling import settle
from tests.unit.cluster.asking import PROMPT, job_for, refusal


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": ["a red circle"]}, "prompt"),
        ({"negative_prompt": 5}, "negative_prompt"),
        ({"size": 128}, "size"),
        ({"n": 1.5}, "n"),
        ({"n": "1"}, "n"),
        ({"n": True}, "n"),
        ({"n": float("nan")}, "n"),
        ({"n": 10**10}, "n"),
        ({"tier": "best"}, "tier"),
        ({"tier": "Fast"}, "tier"),
        ({"tier": ""}, "tier"),
        ({"tier": 1}, "tier"),
        ({"min_tier": "auto"}, "min_tier"),
        ({"min_tier": "best"}, "min_tier"),
        ({"quality": "best"}, "quality"),
        ({"quality": 1}, "quality"),
        ({"response_format": "pickle"}, "response_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_format": "PNG"}, "output_format"),
        ({"output_compression": -1}, "output_compression"),
        ({"output_compression": 101}, "output_compression"),
        ({"stream": "true"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"partial_images": -1}, "partial_images"),
        ({"partial_images": 4}, "partial_images"),
        ({"user": "x" * 257}, "user"),
        ({"deadline_ms": 0}, "deadline_ms"),
        ({"deadline_ms": -5}, "deadline_ms"),
        ({"deadline_ms": float("nan")}, "deadline_ms"),
        ({"deadline_ms": float("inf")}, "deadline_ms"),
        ({"late": "maybe"}, "late"),
        ({"late": True}, "late"),
        ({"priority": 11}, "priority"),
        ({"priority": -11}, "priority"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"num_inference_steps": float("nan")}, "num_inference_steps"),
        ({"guidance_scale": float("nan")}, "guidance_scale"),
        ({"guidance_scale": float("inf")}, "guidance_scale"),
        ({"guidance_scale": -0.1}, "guidance_scale"),
        ({"guidance_scale": "3.5"}, "guidance_scale"),
        ({"true_cfg_scale": float("nan")}, "true_cfg_scale"),
        ({"true_cfg_scale": 101}, "true_cfg_scale"),
        ({"strength": 0}, "strength"),
        ({"strength": 1.01}, "strength"),
        ({"mask": "aGVsbG8="}, "mask"),
        ({"model": 5}, "model"),
        ({"temperature": 1}, "temperature"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(fields: dict[str, Any], param: str):
    with pytest.raises(InvalidRequest) as caught:
        parse_request(PROMPT | fields)
    assert (caught.value.http_status, caught.value.param) == (400, param)
    assert caught.value.message.startswith(f"{param}: ")


@pytest.mark.parametrize("body", [None, [], "a red circle", 5, [PROMPT]])
@pytest.mark.parametrize("parse", [parse_request, parse_video_request])
def test_a_body_that_is_no_mapping_is_refused(parse: Any, body: object):
    with pytest.raises(InvalidRequest) as caught:
        parse(body)
    assert caught.value.param is None


@pytest.mark.parametrize("parse", [parse_request, parse_video_request])
def test_a_body_without_a_prompt_is_refused_by_that_field(parse: Any):
    with pytest.raises(InvalidRequest) as caught:
        parse({})
    assert caught.value.param == "prompt"


def test_an_unknown_field_is_refused_with_the_nearest_known_one(config: ClusterConfig):
    error = refusal(config, PROMPT | {"num_inference_step": 28})
    assert error.param == "num_inference_step"
    assert "did you mean num_inference_steps?" in error.message


@pytest.mark.parametrize("key", ["x" * 10_000, "a\nb", "{hint}", "\ud800"])
def test_an_unknown_key_is_told_in_one_short_printable_line(key: str):
    with pytest.raises(InvalidRequest) as caught:
        parse_request(PROMPT | {key: 1})
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500
    assert "{" not in caught.value.message


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"output_format": "gif"}, "'png', 'jpeg', 'webp' or 'mp4'"),
        ({"tier": "best"}, "'none', 'slow', 'medium', 'fast' or 'ultra'"),
        ({"late": "maybe"}, "'refuse' or 'accept'"),
        ({"response_format": "pickle"}, "'b64_json' or 'url'"),
        ({"stream": "yes"}, "must be true or false"),
        ({"partial_images": 4}, "less than or equal to 3"),
    ],
)
def test_a_refusal_says_what_would_be_taken(fields: dict[str, Any], word: str):
    with pytest.raises(InvalidRequest) as caught:
        parse_request(PROMPT | fields)
    assert word in caught.value.message


def test_a_null_field_is_a_field_not_given(config: ClusterConfig):
    nothing = dict.fromkeys(set(GenerateRequest.model_fields) - {"prompt"})
    assert job_for(config, **nothing) == job_for(config)


def test_a_request_may_be_made_of_fields_in_python(config: ClusterConfig):
    request = GenerateRequest(prompt="a red circle", tier="fast", size="64x64")
    _, job = settle(request, config, "r-1", seed=7)
    assert job == job_for(config, tier="fast", size="64x64")


def test_pictures_to_begin_from_are_whole_files_and_json_has_none():
    assert parse_request(PROMPT | {"images": [b"file"]}).images == (b"file",)
    with pytest.raises(InvalidRequest) as caught:
        parse_request(PROMPT | {"images": ["aGVsbG8="]})
    assert caught.value.message == ("images[0]: must be a file, sent in a form (given: 'aGVsbG8=')")


def test_a_form_has_its_numbers_and_truth_values_as_text():
    told = {"n": "2", "stream": "true", "partial_images": "3", "strength": "0.5", "seed": "7"}
    as_json = {"n": 2, "stream": True, "partial_images": 3, "strength": 0.5, "seed": 7}
    assert parse_request(PROMPT | told, from_form=True) == parse_request(PROMPT | as_json)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n": "two"}, "n: must be a whole number (given: 'two')"),
        ({"n": "1.5"}, "n: must be a whole number (given: '1.5')"),
        ({"n": ""}, "n: must be a whole number (given: '')"),
        ({"strength": "much"}, "strength: must be a number (given: 'much')"),
        ({"stream": "perhaps"}, "stream: must be true or false (given: 'perhaps')"),
        ({"prompt": [b"file"]}, "prompt: must be text"),
    ],
)
def test_text_of_a_form_that_is_no_such_value_is_refused_in_plain_words(
    fields: dict[str, Any], words: str
):
    with pytest.raises(InvalidRequest) as caught:
        parse_request(PROMPT | fields, from_form=True)
    assert caught.value.message.startswith(words)


@pytest.mark.parametrize(
    ("sent", "seconds"), [("4", 4.0), (4, 4.0), (2.5, 2.5), ("2.5", 2.5), (None, None)]
)
def test_the_seconds_of_a_clip_may_be_text_as_the_official_sdk_sends_them(
    sent: object, seconds: float | None
):
    assert parse_video_request(PROMPT | {"seconds": sent}).seconds == seconds


@pytest.mark.parametrize("seconds", ["", "four", "nan", "inf", "-1", "0", 0, -1, 4000, [4], True])
def test_seconds_that_are_no_length_are_refused(seconds: object):
    with pytest.raises(InvalidRequest) as caught:
        parse_video_request(PROMPT | {"seconds": seconds})
    assert caught.value.param == "seconds"


def test_a_request_for_a_clip_becomes_one_for_a_stored_result_of_that_model():
    asked = parse_video_request(
        {"prompt": "waves", "seconds": "4", "fps": 8, "tier": "fast", "user": "someone", "seed": 3}
    )
    made = asked.as_generate("clips", 33)
    assert made == GenerateRequest(
        prompt="waves",
        model="clips",
        num_frames=33,
        fps=8,
        tier="fast",
        user="someone",
        seed=3,
        response_format="url",
    )
    with_picture = parse_video_request(PROMPT | {"input_reference": b"file"})
    assert with_picture.as_generate("clips", None).images == (b"file",)


def test_every_field_of_a_clip_is_one_of_a_picture_or_its_length_or_its_first_picture():
    beyond = set(VideoRequest.model_fields) - set(GenerateRequest.model_fields)
    assert beyond == {"seconds", "input_reference"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from(sorted(GenerateRequest.model_fields | VideoRequest.model_fields))
BODIES = st.dictionaries(FIELDS | st.text(max_size=10), VALUES, max_size=4)


@given(BODIES, st.booleans())
def test_whatever_json_comes_in_is_a_job_or_a_request_error(
    config: ClusterConfig, body: dict[str, Any], prompted: bool
):
    body = json.loads(json.dumps(body | PROMPT if prompted else body))
    refused = None
    try:
        _, job = settle(parse_request(body), config, "r-1", seed=7)
    except RequestError as error:
        refused = error
    if refused is None:
        assert 1 <= job.n <= 4
        assert job.width * job.height <= 32768
    else:
        assert refused.message
        assert refused.param in {None, *GenerateRequest.model_fields, *map(shown, body)}


FORM_BODIES = st.dictionaries(
    FIELDS | st.text(max_size=10),
    st.text(max_size=20) | st.lists(st.binary(max_size=5), min_size=1, max_size=2),
    max_size=4,
)


@given(FORM_BODIES)
def test_whatever_form_comes_in_is_a_request_or_a_request_error(body: dict[str, Any]):
    for parse in (parse_request, parse_video_request):
        refused = None
        try:
            parse(PROMPT | body, from_form=True)
        except RequestError as error:
            refused = error
        assert refused is None or refused.message.isprintable()


@given(BODIES)
def test_whatever_json_asks_for_a_clip_is_a_request_or_a_request_error(body: dict[str, Any]):
    refused = None
    try:
        asked = parse_video_request(json.loads(json.dumps(PROMPT | body)))
    except RequestError as error:
        refused = error
    if refused is None:
        assert asked.as_generate("clips", None).model == "clips"
    else:
        assert refused.message.isprintable()
