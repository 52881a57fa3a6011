"""The bodies that callers send, as schemas of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from cluster.picture_address import ADDRESS_CHARS_MAX
from cluster.request import GenerateRequest, VideoRequest

FILE = {"type": "string", "format": "binary"}

ADDRESS = {
    "type": "object",
    "properties": {
        "image_url": {
            "type": "string",
            "maxLength": ADDRESS_CHARS_MAX,
            "description": "An http or https address, of a host in the config's `picture_hosts`.",
        }
    },
    "required": ["image_url"],
    "additionalProperties": False,
}
"""In JSON, in the place of a file."""

_OR_NULL = {**ADDRESS, "type": ["object", "null"]}

WORDS = {
    "prompt": "What is to be seen.",
    "model": "An id of `GET /v1/models`; without one, the first that makes what is asked for.",
    "n": "How many pictures; the limit is the model's. Picture k has the seed plus k.",
    "size": "`WIDTHxHEIGHT` in pixels, each a multiple of 16, or `auto`: about that of the picture "
    "to begin from, else the model's own.",
    "quality": "OpenAI's words for a tier: `high` and `hd` are `none`, `medium` and `standard` are "
    "`medium`, `low` is `ultra`, and with `auto` the server chooses.",
    "response_format": "`b64_json`, as without it: the files in the answer; `url`: they are kept "
    "here for a while, and the answer says where.",
    "output_format": "The kind of file; `png` without it.",
    "output_compression": "The quality of `jpeg` and `webp`, 100 without it; `png` takes none.",
    "stream": "Answers with events as the work goes on, and not with JSON at its end.",
    "partial_images": "At most so many previews come in the stream.",
    "user": "Whose request it is; users have equal shares of a full line.",
    "tier": "How much work is saved: `none` computes every step, `ultra` the fewest; with `auto` "
    "the server chooses. Without tier, quality, floor and deadline, the model's default.",
    "min_tier": "The server may choose, but nothing worse than this.",
    "deadline_ms": "Milliseconds from now until the result must be there.",
    "late": "What becomes of a request whose deadline cannot be kept: `refuse`, as without it, at "
    "once; `accept`: it is done after all that can be in time.",
    "priority": "Moves the request in the line by a part of the time that it has; more is sooner.",
    "seed": "The same request with the same seed gives the same result; chosen here without it.",
    "num_inference_steps": "Denoising steps; the limit is the model's.",
    "guidance_scale": "How closely a model with built-in guidance follows the prompt.",
    "true_cfg_scale": "Classifier-free guidance; above 1 each step takes twice the work.",
    "negative_prompt": "What is not to be seen, with `true_cfg_scale` above 1.",
    "strength": "How much of the picture is made anew, for models that begin part way; without it "
    "the model's own, and all within a mask.",
    "image": "PNG, JPEG or WebP; several, where the model takes several.",
    "images": "Where they are: PNG, JPEG or WebP; several, where the model takes several.",
    "mask": "A PNG as large as the first picture; where it is transparent is drawn anew.",
    "seconds": "How long the clip is, about; else `num_frames`, else the model's own length.",
    "num_frames": "How long the clip is, in frames; the limit is the model's.",
    "fps": "Frames in a second of the clip.",
    "input_reference": "PNG, JPEG or WebP: the picture from which the clip begins.",
}
"""What each field means, for every body that has it."""

_STATED: Mapping[str, dict[str, Any]] = {
    "n": {"minimum": 1},
    "num_inference_steps": {"minimum": 1},
    "num_frames": {"minimum": 1},
    "output_format": {"enum": ["png", "jpeg", "webp", None]},
    "seconds": {"type": ["number", "string", "null"]},
}
"""Where the model's limits, and not the parser's, say what is taken; seconds come as text too."""

_LOOSE = 10**9
"""A bound of the parser from here on only keeps numbers small; it tells a caller nothing."""


def _schema(
    kind: type[BaseModel],
    description: str,
    without: tuple[str, ...],
    pictures: Mapping[str, Any] | None = None,
    required: tuple[str, ...] = ("prompt",),
    is_form: bool = False,
) -> dict[str, Any]:
    """The body of a kind of request; in a form there is no null."""
    fields = kind.model_json_schema()["properties"]
    kept = {name: _field(name, each) for name, each in fields.items() if name not in without}
    if is_form:
        kept = {name: _without_null(field) for name, field in kept.items()}
    described = {
        name: {**picture, "description": WORDS[name]} for name, picture in (pictures or {}).items()
    }
    return {
        "type": "object",
        "description": description,
        "properties": described | kept,
        "required": list(required),
        "additionalProperties": False,
    }


def _field(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A field; what may be null has one schema with two types, and not two schemas.

    What has a default may be null too, which counts as not given.
    """
    value = dict(schema)
    if "anyOf" in value or "default" in value:
        (stated, *_) = value.pop("anyOf", [value])
        value |= {**stated, "type": [stated["type"], "null"]}
        if "enum" in value:
            value["enum"] = [*value["enum"], None]
    told = {
        key: each
        for key, each in value.items()
        if key != "title"
        and (key, each) != ("default", None)
        and not (key in ("minimum", "maximum") and abs(each) == _LOOSE)
    }
    return told | _STATED.get(name, {}) | {"description": WORDS[name]}


def _without_null(field: Mapping[str, Any]) -> dict[str, Any]:
    told = dict(field)
    if isinstance(told["type"], list):
        kinds = [kind for kind in told["type"] if kind != "null"]
        told["type"] = kinds[0] if len(kinds) == 1 else kinds
    if "enum" in told:
        told["enum"] = [value for value in told["enum"] if value is not None]
    return told


_NULLS = "A field that is null counts as not given."
_TEXT = "Numbers and truth values are written as text."

BODIES: Mapping[str, dict[str, Any]] = {
    "ImageRequest": _schema(
        GenerateRequest, _NULLS, without=("images", "mask", "strength", "num_frames", "fps")
    ),
    "ImageEditForm": _schema(
        GenerateRequest,
        _TEXT,
        without=("images", "mask", "num_frames", "fps"),
        pictures={"image": {"type": "array", "items": FILE, "minItems": 1}, "mask": FILE},
        required=("image", "prompt"),
        is_form=True,
    ),
    "ImageEditRequest": _schema(
        GenerateRequest,
        _NULLS,
        without=("images", "mask", "num_frames", "fps"),
        pictures={
            "images": {"type": "array", "items": ADDRESS, "minItems": 1},
            "mask": _OR_NULL,
        },
        required=("images", "prompt"),
    ),
    "VideoRequest": _schema(
        VideoRequest,
        _NULLS,
        without=("input_reference",),
        pictures={"input_reference": _OR_NULL},
    ),
    "VideoForm": _schema(
        VideoRequest,
        _TEXT,
        without=("input_reference",),
        pictures={"input_reference": FILE},
        is_form=True,
    ),
}
"""By the names that they have among the components of the document."""
