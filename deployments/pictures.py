"""Pictures as files."""

from __future__ import annotations

import io

from PIL import Image

CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


def encode_picture(
    picture: Image.Image, output_format: str, output_compression: int | None
) -> bytes:
    """A whole file in the format.

    `output_compression` is OpenAI's 0 to 100, which Pillow calls quality; PNG has none.
    """
    buffer = io.BytesIO()
    if output_format == "png":
        picture.save(buffer, "PNG")
    else:
        picture.save(
            buffer,
            output_format.upper(),
            quality=100 if output_compression is None else output_compression,
        )
    return buffer.getvalue()
