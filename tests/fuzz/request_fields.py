"""Mappings as bodies of requests: each is a request that settles within the limits, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from cluster.errors import DitServeError, InvalidRequest, UnknownModel
from cluster.fitting import frames_for
from cluster.request import GenerateRequest, VideoRequest, parse_request, parse_video_request
from cluster.settling import model_making, settle
from tests.fuzz.trials import Tried, tried
from tests.unit.gateway.conftest import config_in

_numbers = (
    st.integers()
    | st.integers(-2, 60)
    | st.floats()
    | st.floats(0, 10)
    | st.sampled_from([10**400, -(2**63), 2**63, 1e308, 5e-324])
)
_texts = (
    st.text(max_size=30)
    | st.text(st.characters(categories=None), max_size=30)
    | st.sampled_from(["auto", "64x32", "256x256", "999999x9", "none", "ultra", "hd", "url", "png"])
    | st.sampled_from(["shapes", "clips", "moving", "1", "true", "1e999", "nan", "\ud800", "\0"])
    | st.just("x" * 3000)
)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | _texts | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_sane: dict[str, st.SearchStrategy[Any]] = {
    "prompt": st.text(max_size=40),
    "model": st.sampled_from([None, "shapes", "clips", "moving"]),
    "n": st.integers(0, 5),
    "size": st.sampled_from(["auto", "64x32", "16x16", "256x128", "256x144"]),
    "num_inference_steps": st.integers(0, 51),
    "num_frames": st.integers(0, 18),
    "fps": st.integers(0, 121),
    "seconds": st.floats(0, 3),
    "tier": st.sampled_from(["auto", "none", "slow", "medium", "fast", "ultra"]),
    "quality": st.sampled_from(["auto", "high", "hd", "medium", "standard", "low"]),
    "stream": st.booleans(),
    "seed": st.integers(-1, 2**63),
}
_right: dict[str, st.SearchStrategy[Any]] = {
    name: _sane[name] for name in ("model", "size", "tier", "quality", "stream")
} | {
    "n": st.integers(1, 4),
    "num_inference_steps": st.integers(1, 50),
    "seed": st.integers(0, 2**31),
}
"""Of these most bodies settle, for models that make what is asked for."""

_names = st.sampled_from(sorted({*GenerateRequest.model_fields, *VideoRequest.model_fields}))
_bodies = st.dictionaries(_names, _values, max_size=8).map(lambda body: {"prompt": "a"} | body)
_likely = st.fixed_dictionaries({}, optional=_sane).map(lambda body: {"prompt": "a"} | body)
_settling = st.fixed_dictionaries({}, optional=_right).map(lambda body: {"prompt": "a"} | body)
_any = st.dictionaries(_texts | st.integers() | st.none(), _values, max_size=4) | _values


def try_bodies(folder: Path, most: int, seed: int) -> Tried:
    config = config_in(folder)

    def outcome(drawn: tuple[Any, bool, bool]) -> str:
        body, from_form, is_video = drawn
        try:
            if is_video:
                video = parse_video_request(body, from_form=from_form)
                model = model_making(video.model, config, videos=True)
                request = video.as_generate(model.name, frames_for(video, model))
            else:
                request = parse_request(body, from_form=from_form)
            model, job = settle(request, config, "img_0", seed=1)
        except (InvalidRequest, UnknownModel) as refused:
            _is_one_clear_sentence(refused)
            return "refused"
        limits = model.limits
        assert 1 <= job.n <= limits.max_images
        assert 1 <= job.num_inference_steps <= limits.max_steps
        assert job.width * job.height <= limits.max_pixels
        assert (job.num_frames or 1) <= limits.max_frames
        assert len(job.prompt) <= limits.max_prompt_chars
        return "settled"

    inputs = st.tuples(_settling | _likely | _bodies | _any, st.booleans(), st.booleans())
    return tried("bodies of requests", inputs, outcome, most, seed)


def _is_one_clear_sentence(refused: DitServeError) -> None:
    assert refused.message
    assert "\n" not in refused.message
    assert len(refused.message) < 2000
    refused.message.encode()
