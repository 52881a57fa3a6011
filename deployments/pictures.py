"""Pictures and clips as files."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from cluster.errors import InvalidRequest

CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
DECODED_PIXELS_MAX = 64_000_000
"""A picture that a request brings may not unfold to more than this."""


def as_pictures(values: npt.NDArray[np.floating]) -> list[Image.Image]:
    """Values of 0 to 1, [frames x] height x width x 3, as pictures: one, or one per frame.

    They are rounded as diffusers rounds, so that the bytes are those of its own pictures.
    """
    frames = values if values.ndim == 4 else values[None]
    return [Image.fromarray(frame) for frame in (frames * 255).round().astype("uint8")]


def encode(
    pictures: list[Image.Image], output_format: str, output_compression: int | None, fps: int
) -> bytes:
    """A whole file in the format; several pictures make an animation of `fps` frames a second.

    `output_compression` is OpenAI's 0 to 100, which Pillow calls quality; PNG has none.
    """
    buffer = io.BytesIO()
    settings: dict[str, object] = {}
    if output_format != "png":
        settings["quality"] = 100 if output_compression is None else output_compression
    if len(pictures) > 1:
        settings |= {
            "save_all": True,
            "append_images": pictures[1:],
            "duration": round(1000 / fps),
            "loop": 0,
        }
    pictures[0].save(buffer, output_format.upper(), **settings)
    return buffer.getvalue()


def decode_picture(file: bytes) -> Image.Image:
    """The picture in a file that a request brings.

    Raises:
        InvalidRequest: it is no picture, or too large.
    """
    try:
        picture = Image.open(io.BytesIO(file))
        if picture.width * picture.height > DECODED_PIXELS_MAX:
            raise InvalidRequest(
                f"images: a picture of {picture.width}x{picture.height} pixels is too large; "
                f"{DECODED_PIXELS_MAX} in all are taken",
                param="images",
            )
        return picture.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidRequest(f"images: not a whole picture: {error}", param="images") from error
