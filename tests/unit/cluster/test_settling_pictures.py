"""What is made of the pictures that a request brings, and how large; how long clips are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import ClusterConfig, ModelConfig, size_problem
from cluster.errors import InvalidRequest
from cluster.fitting import fitted_size, frames_for
from cluster.job import Job, job_of, steps_at_strength
from cluster.request import parse_request, parse_video_request
from cluster.settling import settle
from cluster.tasks import Task
from tests.unit.cluster.asking import PROMPT, job_for, refusal

ONE, TWO = (b"a picture",), (b"a picture", b"another")


@pytest.fixture
def edits(args: dict[str, Any]) -> ClusterConfig:
    """The model of the tests, as one that begins part way, or fills in."""
    args["models"][0].update(pipeline="FluxPipeline")
    return ClusterConfig.model_validate(args)


@pytest.fixture
def videos(args: dict[str, Any]) -> ClusterConfig:
    """The model of the tests, as one that makes videos."""
    args["models"][0].update(default_frames=5, default_fps=8)
    args["models"][0]["limits"] |= {"max_frames": 9}
    return ClusterConfig.model_validate(args)


def config_with(args: dict[str, Any], pipeline: str, **fields: Any) -> ClusterConfig:
    args["models"][0].update(pipeline=pipeline, **fields)
    return ClusterConfig.model_validate(args)


@pytest.mark.parametrize(
    ("fields", "task"),
    [
        ({}, Task.TEXT_TO_IMAGE),
        ({"images": ONE}, Task.IMAGE_TO_IMAGE),
        ({"images": ONE, "mask": b"mask"}, Task.INPAINTING),
    ],
)
def test_the_task_follows_from_what_the_request_brings(
    edits: ClusterConfig, fields: dict[str, Any], task: Task
):
    job = job_for(edits, **fields)
    assert (job.task, job.images, job.mask) == (
        task,
        fields.get("images", ()),
        fields.get("mask"),
    )


def test_a_model_that_edits_is_shown_the_picture_and_begins_from_noise(args: dict[str, Any]):
    job = job_for(config_with(args, "QwenImageEditPipeline"), images=ONE)
    assert (job.task, job.strength, job.steps) == (Task.IMAGE_EDITING, None, 20)


def test_a_clip_may_begin_from_a_picture(args: dict[str, Any]):
    config = config_with(args, "WanImageToVideoPipeline", default_frames=5)
    assert job_for(config, images=ONE).task is Task.IMAGE_TO_VIDEO
    assert refusal(config, PROMPT).message.startswith("images: shapes begins from a picture")


@pytest.mark.parametrize(
    ("pipeline", "fields", "message"),
    [
        (None, {"images": ONE}, "images: shapes takes none (it does text-to-image)"),
        (None, {"mask": b"mask"}, "mask: there is no picture that it could be for"),
        (
            "QwenImageEditPipeline",
            {},
            "images: shapes begins from a picture; give one (it does image-editing)",
        ),
        (
            "QwenImageEditPipeline",
            {"images": ONE, "mask": b"mask"},
            "mask: shapes takes none (it does image-editing)",
        ),
        (
            "FluxPipeline",
            {"images": TWO},
            "images: shapes takes at most 1 for image-to-image, not 2",
        ),
        (
            "QwenImageEditPipeline",
            {"images": TWO},
            "images: shapes takes at most 1 for image-editing, not 2",
        ),
        ("FluxPipeline", {"strength": 0.5}, "strength: shapes takes none for text-to-image"),
        (
            "QwenImageEditPipeline",
            {"images": ONE, "strength": 0.5},
            "strength: shapes takes none for image-editing",
        ),
        (
            "FluxPipeline",
            {"images": ONE, "strength": 1e-30},
            "strength: 1e-30 of 20 steps leaves none to run; give more",
        ),
    ],
)
def test_what_cannot_be_made_of_it_is_refused_with_the_reason(
    args: dict[str, Any], pipeline: str | None, fields: dict[str, Any], message: str
):
    if pipeline is not None:
        args["models"][0].update(pipeline=pipeline)
    error = refusal(ClusterConfig.model_validate(args), PROMPT | fields)
    assert error.message == message
    assert error.param == message.partition(":")[0]


def test_a_model_that_looks_at_several_pictures_takes_them(args: dict[str, Any]):
    config = config_with(args, "QwenImageEditPlusPipeline")
    assert job_for(config, images=(b"a", b"b", b"c")).images == (b"a", b"b", b"c")
    assert "at most 3" in refusal(config, PROMPT | {"images": [b"a"] * 4}).message


def test_pictures_are_called_as_the_caller_called_them(config: ClusterConfig):
    request = parse_request(PROMPT | {"images": ONE})
    with pytest.raises(InvalidRequest, match=r"^image: shapes takes none") as caught:
        settle(request, config, "r-1", seed=7, picture_field="image")
    assert caught.value.param == "image"


@pytest.mark.parametrize(
    ("fields", "strength", "steps"),
    [
        ({"images": ONE}, 0.6, 12),
        ({"images": ONE, "strength": 0.05}, 0.05, 1),
        ({"images": ONE, "strength": 1}, 1.0, 20),
        ({"images": ONE, "mask": b"mask"}, 1.0, 20),
        ({}, None, 20),
    ],
)
def test_a_job_that_begins_part_way_runs_the_last_steps(
    edits: ClusterConfig, fields: dict[str, Any], strength: float | None, steps: int
):
    job = job_for(edits, **fields)
    assert (job.strength, job.steps, job.num_inference_steps) == (strength, steps, 20)


def test_a_model_has_a_strength_of_its_own_for_those_who_say_none(args: dict[str, Any]):
    config = config_with(args, "FluxPipeline", default_strength=0.9)
    assert job_for(config, images=ONE).strength == 0.9
    assert job_for(config, images=ONE, strength=0.5).strength == 0.5
    assert job_for(config, images=ONE, mask=b"mask").strength == 1.0


@given(st.integers(1, 100), st.floats(0, 1, exclude_min=True))
def test_strength_never_asks_for_more_steps_than_there_are(steps: int, strength: float):
    ran = steps_at_strength(steps, strength)
    assert 0 <= ran <= steps
    assert abs(ran - steps * strength) <= 1


@pytest.mark.parametrize(
    ("asked", "picture", "made"),
    [
        ("auto", (128, 128), (128, 128)),
        ("auto", (100, 100), (96, 96)),
        ("auto", (127, 255), (112, 240)),
        ("auto", (300, 100), (256, 80)),
        ("auto", (4000, 4000), (176, 176)),
        ("auto", (8000, 16), (256, 16)),
        ("auto", (1, 1), (16, 16)),
        ("64x32", (4000, 4000), (64, 32)),
        ("auto", None, (128, 128)),
    ],
)
def test_what_is_made_of_a_picture_is_about_as_large_unless_a_size_is_asked_for(
    edits: ClusterConfig, asked: str, picture: tuple[int, int] | None, made: tuple[int, int]
):
    job = job_for(edits, picture, images=ONE, size=asked)
    assert (job.width, job.height) == made


SIDES = st.integers(1, 8192)


@given(SIDES, SIDES, st.integers(16, 2048), st.integers(256, 4_194_304))
def test_a_fitted_size_is_one_that_the_model_makes_and_the_largest_of_its_shape(
    width: int, height: int, max_side: int, max_pixels: int
):
    limits = {"max_side": max_side, "max_pixels": max_pixels}
    model = ModelConfig.model_validate(
        {
            "name": "m",
            "source": "s",
            "default_size": "16x16",
            "limits": limits,
            "pools": [{"name": "p"}],
        }
    )
    made = fitted_size((width, height), model)
    assert size_problem(made, model.limits) is None
    assert all(side <= max(16, given) for side, given in zip(made, (width, height), strict=True))
    if min(made) > 16:
        grown = [(side + 16) / given for side, given in zip(made, (width, height), strict=True)]
        scale = min(1.0, max_side / max(width, height), (max_pixels / (width * height)) ** 0.5)
        assert all(each > scale - 1e-9 for each in grown)


def test_a_video_has_the_models_frames_and_rate_unless_told_and_comes_as_mp4(
    videos: ClusterConfig,
):
    job, told = job_for(videos), job_for(videos, num_frames=9, fps=24)
    assert (job.num_frames, job.fps, job.output_format) == (5, 8, "mp4")
    assert (told.num_frames, told.fps) == (9, 24)
    assert job.task is Task.TEXT_TO_VIDEO
    assert job_for(videos, output_format="webp").output_format == "webp"


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"num_frames": 10}, "num_frames", "1 to 9"),
        ({"num_frames": 0}, "num_frames", "1 to 9"),
        ({"output_format": "png"}, "output_format", "makes mp4, webp, not png"),
        ({"output_compression": 5}, "output_compression", "mp4 has none"),
    ],
)
def test_what_a_video_cannot_be_is_refused(
    videos: ClusterConfig, fields: dict[str, Any], param: str, words: str
):
    error = refusal(videos, PROMPT | fields)
    assert error.param == param
    assert words in error.message


@pytest.mark.parametrize(
    ("fields", "frames"),
    [
        ({}, None),
        ({"num_frames": 7}, 7),
        ({"seconds": 1}, 9),
        ({"seconds": "1"}, 9),
        ({"seconds": 0.5, "fps": 8}, 5),
        ({"seconds": 0.01}, 1),
        ({"seconds": 0.25, "fps": 24}, 5),
    ],
)
def test_seconds_become_the_nearest_number_of_frames_that_the_autoencoder_makes(
    videos: ClusterConfig, fields: dict[str, Any], frames: int | None
):
    assert frames_for(parse_video_request(PROMPT | fields), videos.models[0]) == frames


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"seconds": 2, "num_frames": 9}, "given twice; give seconds or num_frames"),
        ({"seconds": 2}, "2 s at 8 frames a second are 17 frames; shapes makes at most 9"),
    ],
)
def test_a_length_that_is_too_much_or_given_twice_is_told_in_seconds(
    videos: ClusterConfig, fields: dict[str, Any], words: str
):
    with pytest.raises(InvalidRequest) as caught:
        frames_for(parse_video_request(PROMPT | fields), videos.models[0])
    assert caught.value.param == "seconds"
    assert words in caught.value.message


@pytest.mark.parametrize("through_json", [False, True])
def test_a_job_comes_back_from_its_mapping_with_the_files_that_were_kept_apart(
    edits: ClusterConfig, through_json: bool
):
    job = job_for(edits, images=ONE, mask=b"mask", min_tier="fast", strength=0.5, deadline_ms=9)
    mapping = job.as_mapping()
    if through_json:
        mapping = json.loads(json.dumps(mapping))
    told: Job = job_of(mapping, job.images, job.mask)
    assert told == job
    assert (type(told.min_tier), type(told.task)) == (type(job.min_tier), Task)
