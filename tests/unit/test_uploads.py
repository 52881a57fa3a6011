"""Pictures that requests bring are decoded within bounds, or refused by the name of their field."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from cluster.errors import InvalidRequest
from deployments.uploads import (
    DECODED_PIXELS_MAX,
    REFERENCE_PIXELS_MAX,
    as_reference,
    decode_mask,
    decode_picture,
    filling,
    picture_size,
)

ON_ITS_SIDE = (5, 6, 7, 8)


def corners() -> Image.Image:
    """Four pixels wide, two high: red, green, blue and white at its corners, each two pixels."""
    drawn = Image.new("RGB", (4, 2))
    for box, colour in (
        ((0, 0, 2, 1), "red"),
        ((2, 0, 4, 1), "lime"),
        ((0, 1, 2, 2), "blue"),
        ((2, 1, 4, 2), "white"),
    ):
        drawn.paste(colour, box)
    return drawn


def file_of(picture: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of_header(width: int, height: int) -> bytes:
    """A PNG that says it is so large, with a few bytes of pixels."""

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def refusal(decode: Any, *arguments: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        decode(*arguments)
    return refused.value


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_are_known_by_their_content(kind: str) -> None:
    file = file_of(Image.new("RGB", (40, 30), "red"), kind)
    assert picture_size(file) == (40, 30)
    decoded = decode_picture(file)
    assert (decoded.mode, decoded.size) == ("RGB", (40, 30))
    red, green, blue = decoded.getpixel((20, 15))  # type: ignore[misc]
    assert red > 245
    assert max(green, blue) < 10


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "ICO"])
def test_other_formats_are_refused_and_the_right_ones_named(kind: str) -> None:
    refused = refusal(decode_picture, file_of(Image.new("RGB", (40, 30)), kind), "mask")
    assert refused.param == "mask"
    assert refused.message == ("mask: is no picture that can be read; PNG, JPEG and WebP are taken")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright_as_its_exif_says(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = file_of(corners(), exif=exif.tobytes())
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB")
    assert decode_picture(file).tobytes() == expected.tobytes()
    assert picture_size(file) == expected.size
    assert (expected.size == (2, 4)) == (orientation in ON_ITS_SIDE)


def test_a_picture_of_a_phone_that_holds_two_is_its_first() -> None:
    first, second = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (20, 15), "blue")
    file = file_of(first, "MPO", save_all=True, append_images=[second])
    assert picture_size(file) == decode_picture(file).size == (40, 30)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_moving_picture_is_refused(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    file = file_of(frames[0], kind, save_all=True, append_images=frames[1:])
    for decode in (picture_size, decode_picture):
        assert refusal(decode, file).message == "image: moves; give one picture that does not"


def test_what_is_transparent_shows_white() -> None:
    layers = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    layers.putpixel((1, 1), (255, 0, 0, 255))
    decoded = decode_picture(file_of(layers))
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((1, 1)) == (255, 0, 0)


def test_sixteen_bits_a_pixel_are_scaled_and_not_cut_off() -> None:
    file = file_of(Image.new("I;16", (4, 4), 0x8000))
    assert decode_picture(file).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("side", [8_001, 12_000, 30_000, 2**31 - 1])
def test_a_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    file = png_of_header(side, side)
    for decode in (picture_size, decode_picture):
        started = time.perf_counter()
        refused = refusal(decode, file)
        assert time.perf_counter() - started < 0.1
        assert "too large" in refused.message
        assert str(DECODED_PIXELS_MAX) in refused.message


PACKED = zlib.compress(bytes(200_000_000), 9)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"zTXt", b"a\0\0" + PACKED),
        (b"iTXt", b"a\0\1\0\0\0" + PACKED),
        (b"iCCP", b"a\0\0" + PACKED),
    ],
)
def test_text_and_profiles_that_unfold_to_200_mb_are_not_unfolded(name: bytes, body: bytes) -> None:
    file = file_of(Image.new("RGB", (16, 16)))
    bomb = file[:33] + chunk(name, body) + file[33:]
    tracemalloc.start()
    for decode in (picture_size, decode_picture):
        assert "is not a whole picture" in refusal(decode, bomb).message
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_pixels_beyond_the_size_in_the_header_are_not_unfolded() -> None:
    file = file_of(Image.new("RGB", (16, 16)))
    bomb = file[:33] + chunk(b"IDAT", PACKED) + chunk(b"IEND", b"")
    started = time.perf_counter()
    assert decode_picture(bomb).size == (16, 16)
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize("decode", [picture_size, decode_picture])
def test_a_file_of_too_many_pieces_is_refused_before_it_is_opened(decode: Any) -> None:
    file = file_of(Image.new("RGB", (16, 16)), "JPEG")
    many = file[:2] + b"\xff\xfe\x00\x02" * 1_000_000 + file[2:]
    started = time.perf_counter()
    assert refusal(decode, many).message == "image: the file has more than 2000 segments"
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    "file",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>',
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
        b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + bytes(200),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"8BPS\0\x01" + bytes(200),
    ],
    ids=["SVG", "HEIC", "AVIF", "EPS", "PSD"],
)
def test_formats_with_programs_of_their_own_are_not_opened(file: bytes) -> None:
    assert "is no picture that can be read" in refusal(decode_picture, file).message


def test_decoding_takes_twice_the_pixels_in_memory_and_no_more() -> None:
    measured = """
import resource, sys
from deployments.uploads import decode_picture
def largest_kb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
file, before = sys.stdin.buffer.read(), largest_kb()
assert decode_picture(file).size == (4000, 4000)
print((largest_kb() - before) * 1024)
"""
    file = file_of(Image.new("RGBA", (4000, 4000)), compress_level=1)
    ran = subprocess.run([sys.executable, "-c", measured], input=file, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 2.2 * 4 * 4000 * 4000


def test_the_size_of_a_picture_is_read_from_its_header_alone() -> None:
    file = png_of_header(4_000, 3_000)
    assert picture_size(file) == (4_000, 3_000)
    assert refusal(decode_picture, file).message.startswith("image: is not a whole picture")


SOUND = [
    file_of(corners().resize((40, 20)), kind, **settings)
    for kind, settings in (
        ("PNG", {}),
        ("PNG", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    )
] + [
    file_of(corners().convert("P"), transparency=1),
    file_of(corners(), save_all=True, append_images=[corners().rotate(180)]),
]


@pytest.mark.filterwarnings("ignore")
@given(st.sampled_from(SOUND), st.integers(0, 2**32), st.booleans())
def test_a_broken_file_is_decoded_or_refused_and_nothing_else(
    file: bytes, seed: int, cut: bool
) -> None:
    chance = random.Random(seed)
    broken = bytearray(file)
    if cut:
        del broken[chance.randrange(len(broken)) :]
    else:
        for _ in range(chance.randrange(1, 8)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
    sizes: set[tuple[int, int]] = set()
    refusals: list[InvalidRequest] = []
    for decode in (picture_size, decode_picture):
        try:
            found: Any = decode(bytes(broken))
        except InvalidRequest as refused:
            refusals.append(refused)
        else:
            sizes.add(found.size if isinstance(found, Image.Image) else found)
    assert len(sizes) <= 1
    assert all(refused.message.startswith("image: ") for refused in refusals)
    assert not any(" object at 0x" in refused.message for refused in refusals)


def mask_of(alpha: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    return file_of(
        Image.merge("LA", (Image.new("L", alpha.size), alpha)).convert("RGBA"), kind, **settings
    )


@pytest.mark.parametrize(("kind", "settings"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_the_transparent_part_of_a_mask_is_white_for_diffusers(
    kind: str, settings: dict[str, Any]
) -> None:
    alpha = Image.new("L", (8, 4), 255)
    alpha.paste(0, (0, 0, 3, 4))
    redrawn = decode_mask(mask_of(alpha, kind, **settings), (8, 4))
    assert redrawn.mode == "L"
    assert [redrawn.getpixel((x, 2)) for x in range(8)] == [255] * 3 + [0] * 5


def test_a_mask_with_a_transparent_colour_in_its_palette_is_one() -> None:
    drawn = Image.new("P", (8, 4))
    drawn.putpalette([0, 0, 0, 255, 255, 255])
    drawn.paste(1, (0, 0, 3, 4))
    redrawn = decode_mask(file_of(drawn, transparency=1), (8, 4))
    assert [redrawn.getpixel((x, 2)) for x in range(8)] == [255] * 3 + [0] * 5


def test_a_mask_is_turned_as_its_exif_says() -> None:
    alpha = Image.new("L", (8, 4), 255)
    alpha.paste(0, (0, 0, 3, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    redrawn = decode_mask(mask_of(alpha, exif=exif.tobytes()), (4, 8))
    assert [redrawn.getpixel((2, y)) for y in range(8)] == [255] * 3 + [0] * 5


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (file_of(Image.new("L", (8, 4))), "has no alpha channel"),
        (file_of(Image.new("RGB", (8, 4)), "JPEG"), "has no alpha channel"),
        (file_of(Image.new("RGBA", (8, 4), "red")), "is opaque everywhere"),
        (file_of(Image.new("RGBA", (4, 8))), "is 4x8, but the picture 8x4"),
        (b"", "is no picture that can be read"),
    ],
)
def test_a_mask_that_says_nothing_is_refused(file: bytes, words: str) -> None:
    refused = refusal(decode_mask, file, (8, 4))
    assert refused.param == "mask"
    assert refused.message.startswith(f"mask: {words}")


def test_filling_keeps_the_shape_and_the_middle() -> None:
    wide = Image.new("RGB", (300, 100), "black")
    wide.paste("red", (100, 0, 200, 100))
    filled = filling(wide, (64, 64))
    assert filled.size == (64, 64)
    assert all(filled.getpixel((x, 32))[0] > 250 for x in (2, 32, 61))  # type: ignore[index]


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 128), st.integers(1, 128))
def test_a_reference_keeps_its_shape_and_has_the_pixels_of_the_job(
    width: int, height: int, across: int, down: int
) -> None:
    size = (16 * across, 16 * down)
    picture = Image.new("1", (width, height))
    if max(width, height) > 8 * min(width, height):
        assert "is too narrow" in refusal(as_reference, picture, size).message
        return
    found = as_reference(picture, size)
    assert not found.width % 16
    assert not found.height % 16
    assert min(found.size) >= 64
    pixels = min(size[0] * size[1], REFERENCE_PIXELS_MAX)
    if pixels >= 64 * 64 * 8:
        assert 0.75 < found.width * found.height / pixels < 1.34
        assert 0.75 < (found.width / found.height) / (width / height) < 1.34


def test_the_gateway_gets_no_torch_with_it() -> None:
    code = "import sys, deployments.uploads; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
