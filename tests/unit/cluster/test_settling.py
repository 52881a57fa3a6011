"""From a request to a job with nothing left open, within the limits of its model."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.config import ClusterConfig
from cluster.errors import InvalidRequest, UnknownModel
from cluster.job import Job
from cluster.request import parse_request
from cluster.settling import model_making, settle
from cluster.tiers import Tier
from tests.unit.cluster.asking import PROMPT, job_for, refusal


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
        stream=True,
        partial_images=2,
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
        partial_images=2,
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


@pytest.mark.parametrize("name", ["flux", "Shapes", "", "x" * 10_000])
def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(
    config: ClusterConfig, name: str
):
    error = refusal(config, PROMPT | {"model": name})
    assert type(error) is UnknownModel
    assert (error.http_status, error.param) == (404, "model")
    assert "shapes" in error.message
    assert len(error.message) < 300


def test_each_kind_of_route_takes_the_first_model_that_makes_its_kind(args: dict[str, Any]):
    clips = args["models"][0] | {"name": "clips", "default_frames": 5}
    config = ClusterConfig.model_validate({"models": [args["models"][0], clips]})
    assert model_making(None, config, videos=False).name == "shapes"
    assert model_making(None, config, videos=True).name == "clips"
    with pytest.raises(InvalidRequest, match=r"^model: shapes makes pictures; videos are made by"):
        model_making("shapes", config, videos=True)
    with pytest.raises(InvalidRequest, match=r"^model: clips makes videos; pictures are made by"):
        model_making("clips", config, videos=False)


def test_where_no_model_makes_videos_that_is_said(config: ClusterConfig):
    with pytest.raises(InvalidRequest, match="videos are made by no model here"):
        model_making(None, config, videos=True)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"prompt": ""}, "prompt", "must not be empty"),
        ({"prompt": " \n\t"}, "prompt", "must not be empty"),
        ({"prompt": "x" * 101}, "prompt", "at most 100"),
        ({"prompt": "a\x00b"}, "prompt", "the character NUL"),
        ({"prompt": "half \ud800 a pair"}, "prompt", "half of a surrogate pair"),
        ({"negative_prompt": "x" * 101}, "negative_prompt", "at most 100"),
        ({"negative_prompt": "a\x00b"}, "negative_prompt", "the character NUL"),
        ({"negative_prompt": "half \ud800 a pair"}, "negative_prompt", "surrogate"),
        ({"size": "100x128"}, "size", "16"),
        ({"size": "0x0"}, "size", ""),
        ({"size": "-16x16"}, "size", ""),
        ({"size": "128"}, "size", ""),
        ({"size": "large"}, "size", ""),
        ({"size": ""}, "size", ""),
        ({"size": "272x16"}, "size", "256"),
        ({"size": "256x256"}, "size", "32768"),
        ({"size": "99999999x99999999"}, "size", ""),
        ({"n": 0}, "n", "1 to 4"),
        ({"n": -1}, "n", "1 to 4"),
        ({"n": 5}, "n", "1 to 4"),
        ({"num_inference_steps": 0}, "num_inference_steps", "1 to 50"),
        ({"num_inference_steps": 51}, "num_inference_steps", "1 to 50"),
        ({"output_format": "mp4"}, "output_format", "makes png, jpeg, webp, not mp4"),
        (
            {"output_compression": 80},
            "output_compression",
            "png has none; ask for output_format jpeg or webp",
        ),
        ({"partial_images": 1}, "partial_images", "stream: true"),
        ({"num_frames": 5}, "num_frames", "makes pictures, not videos"),
        ({"fps": 5}, "fps", "makes pictures, not videos"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_the_model_does_not_do_is_refused_with_what_it_does(
    config: ClusterConfig, fields: dict[str, Any], param: str, words: str
):
    error = refusal(config, PROMPT | fields)
    assert (type(error), error.http_status, error.param) == (InvalidRequest, 400, param)
    assert error.message.startswith(f"{param}: ")
    assert words in error.message


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
        {"partial_images": 0},
        {"partial_images": 3, "stream": True},
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
        ({"tier": "fast", "quality": "auto"}, "fast"),
        ({"tier": "auto", "quality": "high"}, "none"),
        ({"tier": "ultra", "quality": "low"}, "ultra"),
    ],
)
def test_the_router_chooses_for_those_who_say_auto_or_a_floor_or_a_deadline_and_name_no_tier(
    config: ClusterConfig, fields: dict[str, Any], tier: str
):
    assert job_for(config, **fields).tier_requested == tier


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


def test_more_default_frames_than_the_limit_are_a_fault_of_the_config(args: dict[str, Any]):
    args["models"][0].update(default_frames=500)
    with pytest.raises(ValueError, match=r"default_frames: 500 is more than limits.max_frames"):
        ClusterConfig.model_validate(args)
