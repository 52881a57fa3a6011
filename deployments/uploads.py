"""Pictures that requests bring: decoded within bounds, and brought to a size. Imports no torch."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from cluster.config import PICTURE_MULTIPLE
from cluster.errors import InvalidRequest
from cluster.picture_files import structure_problem

FORMATS = ("PNG", "JPEG", "WEBP")
"""What a file must be by its content, in Pillow's words."""

DECODED_PIXELS_MAX = 64_000_000
"""A picture may not unfold to more than this: 0.5 GB while it is decoded and laid on white."""

REFERENCE_PIXELS_MAX = 1024 * 1024
"""To so many FLUX Kontext's and FLUX.2's pipelines bring a picture that is to be edited."""

REFERENCE_RATIO_MAX = 8
REFERENCE_SIDE_MIN = 64
"""FLUX.2's pipeline refuses a picture that is longer than 8 times its width, or a smaller one."""

REDRAWN_FROM = 128
"""diffusers takes a value of a mask, 0 to 255, from here on for white: to be redrawn."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by the Orientation of the EXIF standard; 1 is upright."""

_ON_ITS_SIDE = 5
"""From this Orientation on, width and height are exchanged."""


def picture_size(file: bytes, field: str = "image") -> tuple[int, int]:
    """Width and height in pixels of the picture in a file, upright; reads its header only.

    Raises:
        InvalidRequest: it is no PNG, JPEG or WebP picture, moves, or is too large.
    """
    with _refused(field):
        return _upright_size(_opened(file, field))


def decode_picture(file: bytes, field: str = "image") -> Image.Image:
    """The picture in a file, upright and in RGB; what is transparent shows white.

    Raises:
        InvalidRequest: as `picture_size`, or it is not whole.
    """
    with _refused(field):
        picture = _opened(file, field)
        orientation = _orientation(picture)
        if picture.mode.startswith("I"):  # 16 bits a pixel, which Pillow would cut off at 255
            picture = picture.point(lambda value: value / 256).convert("L")
        if picture.has_transparency_data:
            layers = _in_mode("RGBA", picture)
            picture = Image.new("RGB", layers.size, "white")
            picture.paste(layers, mask=layers)
        return _turned(_in_mode("RGB", picture), orientation)


def decode_mask(file: bytes, size: tuple[int, int], field: str = "mask") -> Image.Image:
    """What is to be redrawn of a picture of `size`, as diffusers takes it: "L", white is redrawn.

    In the file that is transparent, as OpenAI has it.

    Raises:
        InvalidRequest: as `decode_picture`; it has no transparency at all, or another size.
    """
    with _refused(field):
        picture = _opened(file, field)
        if (found := _upright_size(picture)) != size:
            raise InvalidRequest(
                f"{field}: is {found[0]}x{found[1]}, but the picture {size[0]}x{size[1]}; "
                "both must have one size",
                param=field,
            )
        if not picture.has_transparency_data:
            raise InvalidRequest(
                f"{field}: has no alpha channel; its transparent pixels say what is to be redrawn",
                param=field,
            )
        orientation = _orientation(picture)
        redrawn = ImageOps.invert(picture.convert("RGBA").getchannel("A"))
    if not any(redrawn.histogram()[REDRAWN_FROM:]):
        raise InvalidRequest(
            f"{field}: is opaque everywhere; its transparent pixels say what is to be redrawn",
            param=field,
        )
    return _turned(redrawn, orientation)


def filling(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in that size: scaled to cover it, its shape kept, the rest cut off evenly."""
    method = Image.Resampling.BILINEAR if picture.mode == "L" else Image.Resampling.LANCZOS
    return ImageOps.fit(picture, size, method)


def as_reference(picture: Image.Image, size: tuple[int, int], field: str = "image") -> Image.Image:
    """The picture in its own shape, with about as many pixels as `size`, for a model to look at.

    So what an edit costs follows from the size that is asked for, and not from the upload.

    Raises:
        InvalidRequest: it is too long and narrow.
    """
    sides = picture.size
    if max(sides) > REFERENCE_RATIO_MAX * min(sides):
        raise InvalidRequest(
            f"{field}: {sides[0]}x{sides[1]} is too narrow; the longer side of a picture to edit "
            f"is at most {REFERENCE_RATIO_MAX} times the shorter",
            param=field,
        )
    pixels = min(size[0] * size[1], REFERENCE_PIXELS_MAX)
    scale = max((pixels / (sides[0] * sides[1])) ** 0.5, REFERENCE_SIDE_MIN / min(sides))
    width, height = (
        max(REFERENCE_SIDE_MIN, round(side * scale / PICTURE_MULTIPLE) * PICTURE_MULTIPLE)
        for side in sides
    )
    return filling(picture, (width, height))


def _opened(file: bytes, field: str) -> Image.Image:
    """The picture with its header read, and its pixels not yet."""
    if problem := structure_problem(file):
        raise InvalidRequest(f"{field}: the file {problem}", param=field)
    picture = Image.open(io.BytesIO(file), formats=FORMATS)
    if picture.width * picture.height > DECODED_PIXELS_MAX:
        raise InvalidRequest(
            f"{field}: a picture of {picture.width}x{picture.height} pixels is too large; "
            f"{DECODED_PIXELS_MAX} in all are taken",
            param=field,
        )
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        raise InvalidRequest(f"{field}: moves; give one picture that does not", param=field)
    return picture


@contextmanager
def _refused(field: str) -> Iterator[None]:
    """What Pillow raises for a file that is broken, or a bomb, as a refusal."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise InvalidRequest(
            f"{field}: is no picture that can be read; PNG, JPEG and WebP are taken", param=field
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidRequest(
            f"{field}: the picture is too large; {DECODED_PIXELS_MAX} pixels in all are taken",
            param=field,
        ) from error
    except (OSError, SyntaxError, ValueError, IndexError, AssertionError, struct.error) as error:
        raise InvalidRequest(f"{field}: is not a whole picture: {error}", param=field) from error


def _orientation(picture: Image.Image) -> int:
    exif = Image.Exif()
    exif.load(picture.info.get("exif", b""))
    stated = exif.get(ExifTags.Base.Orientation, 1)
    return stated if stated in _TURNS else 1


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    width, height = picture.size
    return (height, width) if _orientation(picture) >= _ON_ITS_SIDE else (width, height)


def _in_mode(mode: str, picture: Image.Image) -> Image.Image:
    """The picture with its pixels read, itself where it has the mode; `convert` always copies."""
    picture.load()
    return picture if picture.mode == mode else picture.convert(mode)


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    return picture if orientation == 1 else picture.transpose(_TURNS[orientation])
