"""From a caller's body to a settled job, and the error that names the field that is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import ClusterConfig
from cluster.errors import DitServeError, InvalidRequest, RequestError, UnknownModel
from cluster.request import GenerateRequest, Job, parse_request, settle
from cluster.sections import shown
from cluster.tiers import Tier

PROMPT = {"prompt": "a red circle"}


def job_for(config: ClusterConfig, **fields: Any) -> Job:
    return settle(parse_request(PROMPT | fields), config, "r-1", seed=7)[1]


def refusal(config: ClusterConfig, body: Any) -> DitServeError:
    with pytest.raises(DitServeError) as caught:
        settle(parse_request(body), config, "r-1", seed=7)
    error = caught.value
    assert "\n" not in error.message
    return error


def with_tiers(args: dict[str, Any], *tiers: str) -> ClusterConfig:
    args["models"][0].update(
        default_tier=tiers[0], pools=[{"name": "p", "device": "cpu", "tiers": list(tiers)}]
    )
    return ClusterConfig.model_validate(args)


def test_a_prompt_alone_is_a_request_and_the_model_settles_the_rest(config: ClusterConfig):
    model, job = settle(parse_request(PROMPT), config, "r-1", seed=7)
    assert model is config.models[0]
    assert job == Job(
        request_id="r-1",
        model="shapes",
        prompt="a red circle",
        n=1,
        width=128,
        height=128,
        tier_requested="medium",
        min_tier=None,
        num_inference_steps=20,
        seed=7,
        output_format="png",
        output_compression=None,
        deadline_s=None,
        late="refuse",
        priority=0,
        caller="",
        guidance_scale=None,
        true_cfg_scale=None,
        negative_prompt=None,
    )


def test_every_field_of_a_request_reaches_the_job(config: ClusterConfig):
    job = job_for(
        config,
        model="shapes",
        n=3,
        size="256x64",
        response_format="b64_json",
        output_format="webp",
        output_compression=80,
        stream=False,
        user="someone",
        tier="fast",
        min_tier="fast",
        deadline_ms=1500,
        late="accept",
        priority=-2,
        seed=0,
        num_inference_steps=12,
        guidance_scale=3.5,
        true_cfg_scale=4,
        negative_prompt="blurred",
    )
    assert job == Job(
        request_id="r-1",
        model="shapes",
        prompt="a red circle",
        n=3,
        width=256,
        height=64,
        tier_requested="fast",
        min_tier=Tier.FAST,
        num_inference_steps=12,
        seed=0,
        output_format="webp",
        output_compression=80,
        deadline_s=1.5,
        late="accept",
        priority=-2,
        caller="someone",
        guidance_scale=3.5,
        true_cfg_scale=4.0,
        negative_prompt="blurred",
    )


def test_the_callers_seed_goes_before_ours(config: ClusterConfig):
    assert job_for(config, seed=2**63 - 1).seed == 2**63 - 1
    assert job_for(config, seed=None).seed == 7


def test_size_auto_is_the_models_own_size(config: ClusterConfig):
    job = job_for(config, size="auto")
    assert (job.width, job.height) == (128, 128)


def test_without_a_model_the_first_one_answers(args: dict[str, Any]):
    args["models"].append(args["models"][0] | {"name": "second"})
    config = ClusterConfig.model_validate(args)
    assert job_for(config).model == "shapes"
    assert job_for(config, model="second").model == "second"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n\t"}, "prompt"),
        ({"prompt": "x" * 101}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": ["a red circle"]}, "prompt"),
        ({"negative_prompt": "x" * 101}, "negative_prompt"),
        ({"negative_prompt": "a\x00b"}, "negative_prompt"),
        ({"negative_prompt": 5}, "negative_prompt"),
        ({"size": "100x128"}, "size"),
        ({"size": "0x0"}, "size"),
        ({"size": "-16x16"}, "size"),
        ({"size": "128"}, "size"),
        ({"size": "large"}, "size"),
        ({"size": ""}, "size"),
        ({"size": 128}, "size"),
        ({"size": "272x16"}, "size"),
        ({"size": "256x256"}, "size"),
        ({"size": "99999999x99999999"}, "size"),
        ({"n": 0}, "n"),
        ({"n": -1}, "n"),
        ({"n": 5}, "n"),
        ({"n": 1000}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": "1"}, "n"),
        ({"n": True}, "n"),
        ({"n": float("nan")}, "n"),
        ({"tier": "best"}, "tier"),
        ({"tier": "Fast"}, "tier"),
        ({"tier": ""}, "tier"),
        ({"tier": 1}, "tier"),
        ({"min_tier": "auto"}, "min_tier"),
        ({"min_tier": "best"}, "min_tier"),
        ({"quality": "best"}, "quality"),
        ({"quality": 1}, "quality"),
        ({"response_format": "url"}, "response_format"),
        ({"response_format": "pickle"}, "response_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_format": "PNG"}, "output_format"),
        ({"output_compression": -1}, "output_compression"),
        ({"output_compression": 101}, "output_compression"),
        ({"output_compression": 80, "output_format": "png"}, "output_compression"),
        ({"stream": True}, "stream"),
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
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"num_inference_steps": 51}, "num_inference_steps"),
        ({"num_inference_steps": 10_000}, "num_inference_steps"),
        ({"num_inference_steps": float("nan")}, "num_inference_steps"),
        ({"guidance_scale": float("nan")}, "guidance_scale"),
        ({"guidance_scale": float("inf")}, "guidance_scale"),
        ({"guidance_scale": -0.1}, "guidance_scale"),
        ({"guidance_scale": "3.5"}, "guidance_scale"),
        ({"true_cfg_scale": float("nan")}, "true_cfg_scale"),
        ({"true_cfg_scale": 101}, "true_cfg_scale"),
        ({"model": 5}, "model"),
        ({"temperature": 1}, "temperature"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(
    config: ClusterConfig, fields: dict[str, Any], param: str
):
    error = refusal(config, PROMPT | fields)
    assert type(error) is InvalidRequest
    assert error.http_status == 400
    assert error.param == param
    assert error.message.startswith(f"{param}: ")


@pytest.mark.parametrize("name", ["flux", "Shapes", "", "x" * 10_000])
def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(
    config: ClusterConfig, name: str
):
    error = refusal(config, PROMPT | {"model": name})
    assert type(error) is UnknownModel
    assert (error.http_status, error.param) == (404, "model")
    assert "shapes" in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize("body", [None, [], "a red circle", 5, [PROMPT]])
def test_a_body_that_is_no_mapping_is_refused(config: ClusterConfig, body: object):
    error = refusal(config, body)
    assert type(error) is InvalidRequest
    assert error.param is None


def test_a_body_without_a_prompt_is_refused_by_that_field(config: ClusterConfig):
    assert refusal(config, {}).param == "prompt"


def test_an_unknown_field_is_refused_with_the_nearest_known_one(config: ClusterConfig):
    error = refusal(config, PROMPT | {"num_inference_step": 28})
    assert error.param == "num_inference_step"
    assert "did you mean num_inference_steps?" in error.message


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"prompt": "x" * 101}, "100"),
        ({"n": 5}, "1 to 4"),
        ({"num_inference_steps": 51}, "1 to 50"),
        ({"size": "272x16"}, "256"),
        ({"size": "256x256"}, "32768"),
        ({"output_format": "gif"}, "'png', 'jpeg' or 'webp'"),
        ({"tier": "best"}, "'none', 'slow', 'medium', 'fast' or 'ultra'"),
        ({"late": "maybe"}, "'refuse' or 'accept'"),
        ({"response_format": "url"}, "b64_json only"),
        ({"stream": True}, "does not stream"),
    ],
)
def test_a_refusal_says_what_would_be_taken(
    config: ClusterConfig, fields: dict[str, Any], word: str
):
    assert word in refusal(config, PROMPT | fields).message


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "x" * 100},
        {"n": 1},
        {"n": 4},
        {"num_inference_steps": 1},
        {"num_inference_steps": 50},
        {"size": "16x16"},
        {"size": "256x128"},
        {"guidance_scale": 0},
        {"negative_prompt": ""},
        {"deadline_ms": 1},
        {"output_compression": 0, "output_format": "jpeg"},
        {"output_compression": 100, "output_format": "webp"},
        {"user": ""},
        {"prompt": "ein roter Kreis 圆 🔴"},
    ],
)
def test_the_limits_themselves_are_taken(config: ClusterConfig, fields: dict[str, Any]):
    assert isinstance(job_for(config, **fields), Job)


@pytest.mark.parametrize(
    ("quality", "tier"),
    [
        ("high", "none"),
        ("hd", "none"),
        ("medium", "medium"),
        ("standard", "medium"),
        ("low", "ultra"),
        ("auto", "auto"),
    ],
)
def test_openais_quality_words_ask_for_tiers(config: ClusterConfig, quality: str, tier: str):
    assert job_for(config, quality=quality).tier_requested == tier


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({}, "medium"),
        ({"late": "accept"}, "medium"),
        ({"tier": "auto"}, "auto"),
        ({"quality": "auto"}, "auto"),
        ({"min_tier": "fast"}, "auto"),
        ({"deadline_ms": 5000}, "auto"),
        ({"deadline_ms": 5000, "tier": "fast"}, "fast"),
    ],
)
def test_the_router_chooses_for_those_who_say_auto_or_a_floor_or_a_deadline_and_name_no_tier(
    config: ClusterConfig, fields: dict[str, Any], tier: str
):
    assert job_for(config, **fields).tier_requested == tier


def test_quality_and_tier_may_say_the_same(config: ClusterConfig):
    assert job_for(config, quality="low", tier="ultra").tier_requested == "ultra"


def test_quality_and_tier_may_not_contradict_each_other(config: ClusterConfig):
    error = refusal(config, PROMPT | {"quality": "high", "tier": "ultra"})
    assert (type(error), error.param) == (InvalidRequest, "tier")
    assert "high" in error.message
    assert "ultra" in error.message


@pytest.mark.parametrize("tier", ["auto", *Tier])
def test_every_tier_that_is_served_may_be_named(config: ClusterConfig, tier: str):
    assert job_for(config, tier=tier).tier_requested == tier


@pytest.mark.parametrize("asked", [{"tier": "none"}, {"quality": "high"}])
def test_a_tier_that_the_model_does_not_serve_is_refused_with_those_that_it_does(
    args: dict[str, Any], asked: dict[str, str]
):
    error = refusal(with_tiers(args, "fast", "ultra"), PROMPT | asked)
    assert (type(error), error.param) == (InvalidRequest, "tier")
    assert "none" in error.message
    assert "fast, ultra" in error.message


@pytest.mark.parametrize(("tier", "floor"), [("ultra", "fast"), ("fast", "none")])
def test_a_tier_below_the_callers_own_floor_is_refused(
    config: ClusterConfig, tier: str, floor: str
):
    error = refusal(config, PROMPT | {"tier": tier, "min_tier": floor})
    assert (type(error), error.param) == (InvalidRequest, "min_tier")


@pytest.mark.parametrize(("tier", "floor"), [("fast", "fast"), ("none", "ultra"), ("auto", "none")])
def test_a_tier_at_or_above_the_floor_is_taken(config: ClusterConfig, tier: str, floor: str):
    job = job_for(config, tier=tier, min_tier=floor)
    assert (job.tier_requested, job.min_tier) == (tier, floor)


def test_a_floor_that_the_model_cannot_reach_is_refused(args: dict[str, Any]):
    config = with_tiers(args, "fast", "ultra")
    error = refusal(config, PROMPT | {"min_tier": "medium"})
    assert (type(error), error.param) == (InvalidRequest, "min_tier")
    assert job_for(config, min_tier="fast").min_tier is Tier.FAST


def test_a_request_may_be_made_of_fields_in_python(config: ClusterConfig):
    request = GenerateRequest(prompt="a red circle", tier="fast", size="64x64")
    _, job = settle(request, config, "r-1", seed=7)
    assert job == job_for(config, tier="fast", size="64x64")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from(sorted(GenerateRequest.model_fields))


@given(st.dictionaries(FIELDS | st.text(max_size=10), VALUES, max_size=4), st.booleans())
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


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
@pytest.mark.parametrize("text", ["half \ud800 a pair", "a\x00b"])
def test_text_that_no_tokenizer_can_read_is_refused(config: ClusterConfig, field: str, text: str):
    with pytest.raises(InvalidRequest) as refused:
        job_for(config, **{field: text})
    assert refused.value.param == field


def test_a_null_field_is_a_field_not_given(config: ClusterConfig):
    nothing = dict.fromkeys(set(GenerateRequest.model_fields) - {"prompt"})
    assert job_for(config, **nothing) == job_for(config)


def test_auto_gives_way_to_the_word_that_names_a_tier(config: ClusterConfig):
    assert job_for(config, tier="fast", quality="auto").tier_requested == "fast"
    assert job_for(config, tier="auto", quality="high").tier_requested == "none"


@pytest.mark.parametrize("key", ["x" * 10_000, "a\nb", "{hint}", "\ud800"])
def test_an_unknown_key_is_told_in_one_short_printable_line(config: ClusterConfig, key: str):
    with pytest.raises(InvalidRequest) as refused:
        job_for(config, **{key: 1})
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 500
    assert "{" not in refused.value.message


@pytest.fixture
def videos(args: dict[str, Any]) -> ClusterConfig:
    """The model of the tests, as one that makes videos."""
    args["models"][0].update(default_frames=5, default_fps=8)
    args["models"][0]["limits"] |= {"max_frames": 9}
    return ClusterConfig.model_validate(args)


def test_a_video_has_the_models_frames_and_rate_unless_told_and_comes_as_animated_webp(
    videos: ClusterConfig,
):
    job, told = job_for(videos), job_for(videos, num_frames=9, fps=24)
    assert (job.num_frames, job.fps, job.output_format) == (5, 8, "webp")
    assert (told.num_frames, told.fps) == (9, 24)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"num_frames": 10}, "num_frames", "1 to 9"),
        ({"num_frames": 0}, "num_frames", "1 to 9"),
        ({"output_format": "png"}, "output_format", "animated webp"),
    ],
)
def test_what_a_video_cannot_be_is_refused(
    videos: ClusterConfig, fields: dict[str, Any], param: str, words: str
):
    error = refusal(videos, PROMPT | fields)
    assert error.param == param
    assert words in error.message


@pytest.mark.parametrize("field", ["num_frames", "fps"])
def test_a_picture_has_neither_frames_nor_a_rate(config: ClusterConfig, field: str):
    error = refusal(config, PROMPT | {field: 5})
    assert (error.param, "makes pictures" in error.message) == (field, True)


def test_pictures_to_begin_from_are_whole_files_and_json_has_none(config: ClusterConfig):
    assert job_for(config, images=[b"file"]).images == (b"file",)
    error = refusal(config, PROMPT | {"images": ["aGVsbG8="]})
    assert error.message == "images[0]: must be the bytes of a file (given: 'aGVsbG8=')"


def test_more_default_frames_than_the_limit_are_a_fault_of_the_config(args: dict[str, Any]):
    args["models"][0].update(default_frames=500)
    with pytest.raises(ValueError, match=r"default_frames: 500 is more than limits.max_frames"):
        ClusterConfig.model_validate(args)
