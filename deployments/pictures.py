"""Pictures and clips as files."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image

from deployments.clips import encode_clip
from deployments.file_metadata import exif, png_text

_QUICK: Mapping[str, Mapping[str, object]] = {"png": {"compress_level": 1}, "webp": {"method": 0}}
"""Pillow's words for the least effort; JPEG knows but one."""


def as_pictures(values: npt.NDArray[np.floating]) -> list[Image.Image]:
    """Values of 0 to 1, [frames x] height x width x 3, as pictures: one, or one per frame.

    They are rounded as diffusers rounds, so that the bytes are those of its own pictures.
    """
    frames = values if values.ndim == 4 else values[None]
    return [Image.fromarray(frame) for frame in (frames * 255).round().astype("uint8")]


def encode(
    pictures: list[Image.Image],
    output_format: str,
    output_compression: int | None,
    fps: int,
    metadata: Mapping[str, str] | None = None,
    *,
    quick: bool = False,
) -> bytes:
    """A whole file in the format; several pictures make a clip of `fps` frames a second.

    `output_compression` is OpenAI's 0 to 100, which Pillow calls quality; PNG and MP4 have none.
    The metadata changes no pixel. `quick` makes larger files in less time.
    """
    metadata = metadata or {}
    if output_format == "mp4":
        return encode_clip([np.asarray(picture) for picture in pictures], fps, metadata)
    buffer = io.BytesIO()
    settings: dict[str, object] = {}
    if output_format != "png":
        settings["quality"] = 100 if output_compression is None else output_compression
    if quick:
        settings |= _QUICK.get(output_format, {})
    if metadata:
        named = output_format == "png"
        settings |= {"pnginfo": png_text(metadata)} if named else {"exif": exif(metadata)}
    if len(pictures) > 1:
        settings |= {
            "save_all": True,
            "append_images": pictures[1:],
            "duration": round(1000 / fps),
            "loop": 0,
        }
    pictures[0].save(buffer, output_format.upper(), **settings)
    return buffer.getvalue()
