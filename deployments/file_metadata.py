"""How a file says how it was made: PNG text, EXIF of JPEG and WebP, the comment of an MP4."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from deployments.clips import clip_comment, is_clip

_ASCII = b"ASCII\0\0\0"
"""How EXIF's UserComment says its character code (CIPA DC-008, 4.6.5)."""


def png_text(metadata: Mapping[str, str]) -> PngInfo:
    """A text chunk for each name."""
    text = PngInfo()
    for name, value in metadata.items():
        text.add_text(name, value)
    return text


def exif(metadata: Mapping[str, str]) -> Image.Exif:
    """One JSON object in UserComment."""
    tags = Image.Exif()
    comment = _ASCII + json.dumps(metadata).encode("ascii")
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return tags


def read_metadata(file: bytes) -> dict[str, str]:
    """What a file of ours says of how it was made; empty where it says nothing.

    Names and values are those of `cluster.picture_metadata`. Pillow's errors for a file that is
    no picture.
    """
    if is_clip(file):
        comment = clip_comment(file)
        return {} if comment is None else dict(json.loads(comment))
    picture = Image.open(io.BytesIO(file))
    if isinstance(picture, PngImageFile):
        return {str(name): str(value) for name, value in picture.text.items()}
    tags = picture.getexif().get_ifd(ExifTags.IFD.Exif)
    comment = tags.get(ExifTags.Base.UserComment, b"")
    return dict(json.loads(comment[len(_ASCII) :])) if comment.startswith(_ASCII) else {}
