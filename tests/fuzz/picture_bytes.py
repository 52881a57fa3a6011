"""Pictures' files, broken in many ways: each is decoded within the bounds, or refused."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from cluster.errors import InvalidRequest
from deployments.uploads import DECODED_PIXELS_MAX, decode_mask, decode_picture, picture_size
from tests.fuzz.trials import Tried, tried

SIZE = (48, 36)
MASK_SIZE = SIZE

_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"


def sound_files() -> list[bytes]:
    """Real files of every kind that is taken, and of some that are not."""
    noise = Image.effect_noise(SIZE, 60)
    colours = Image.merge("RGB", (noise, noise.rotate(90), noise.rotate(180)))
    clear = colours.convert("RGBA")
    clear.putalpha(noise)
    moving = {"save_all": True, "append_images": [colours.rotate(90)]}
    icc = {"icc_profile": bytes(range(256)) * 4}
    return [
        _file(colours, "PNG", **icc),
        _file(colours, "PNG", exif=_EXIF),
        _file(clear, "PNG"),
        _file(noise, "PNG"),
        _file(noise.convert("I;16"), "PNG"),
        _file(noise.convert("1"), "PNG"),
        _file(colours.convert("P"), "PNG", transparency=3),
        _file(colours, "PNG", **moving),
        _file(colours, "JPEG", **icc),
        _file(colours, "JPEG", progressive=True, exif=_EXIF, comment=b"a"),
        _file(noise, "JPEG", restart_marker_blocks=1),
        _file(colours.convert("CMYK"), "JPEG"),
        _file(colours, "MPO", **moving),
        _file(colours, "WEBP", **icc),
        _file(clear, "WEBP", lossless=True, exif=_EXIF),
        _file(colours, "WEBP", **moving),
        _file(colours, "GIF"),
        _file(colours, "TIFF"),
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    ]


def try_pictures(most: int, seed: int) -> Tried:
    sound = sound_files()

    def outcome(drawn: tuple[bytes, Callable[[bytes, random.Random], bytes], int]) -> str:
        file, damage, chance = drawn
        broken = damage(file, random.Random(chance))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = _decoded(picture_size, broken)
            picture = _decoded(decode_picture, broken)
            mask = _decoded(decode_mask, broken, SIZE, "mask")
        if mask is not None:
            assert (mask.mode, mask.size) == ("L", SIZE)
        if picture is None:
            return "refused"
        assert picture.mode == "RGB"
        assert picture.size == told
        assert picture.width * picture.height <= DECODED_PIXELS_MAX
        return "decoded"

    inputs = st.tuples(st.sampled_from(sound), st.sampled_from(_DAMAGES), st.integers(0, 2**32))
    return tried("files of pictures", inputs, outcome, most, seed)


def _decoded(decode: Callable[..., Any], file: bytes, *more: Any) -> Any:
    """What it is decoded to; None where it is refused as it should be."""
    try:
        return decode(file, *more)
    except InvalidRequest as error:
        refused = error
    assert refused.param in ("image", "mask")
    assert refused.message.startswith(f"{refused.param}: ")
    assert " object at 0x" not in refused.message
    refused.message.encode()
    return None


def _file(picture: Image.Image, kind: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()


def _some_bytes(file: bytes, chance: random.Random) -> bytes:
    broken = bytearray(file)
    for _ in range(chance.randrange(1, 9)):
        broken[chance.randrange(len(broken))] = chance.choice((0, 0xFF, chance.randrange(256)))
    return bytes(broken)


def _cut(file: bytes, chance: random.Random) -> bytes:
    return file[: chance.randrange(len(file))]


def _moved(file: bytes, chance: random.Random) -> bytes:
    """A piece of it once more, or elsewhere."""
    start, end = sorted(chance.randrange(len(file)) for _ in range(2))
    piece = file[start:end] * chance.choice((1, 1, 30))
    rest = file if chance.random() < 0.5 else file[:start] + file[end:]
    place = chance.randrange(len(rest) + 1)
    return rest[:place] + piece + rest[place:]


def _number(file: bytes, chance: random.Random) -> bytes:
    """A number of two or four bytes becomes an extreme one: lengths, sides, offsets."""
    width = chance.choice((2, 4))
    place = chance.randrange(max(1, len(file) - width))
    most = 256**width - 1
    value = chance.choice((0, 1, most, most // 2, most // 2 + 1, chance.randrange(most)))
    order = chance.choice(("big", "little"))
    return file[:place] + value.to_bytes(width, order) + file[place + width :]


def _png_chunks(file: bytes, chance: random.Random) -> bytes:
    """A PNG whose checksums are right again after the damage, so that it is read on."""
    if not file.startswith(b"\x89PNG"):
        return _some_bytes(file, chance)
    chunks, place = [], 8
    while place < len(file):
        length = int.from_bytes(file[place : place + 4])
        chunks.append([file[place + 4 : place + 8], file[place + 8 : place + 8 + length]])
        place += 12 + length
    for _ in range(chance.randrange(1, 4)):
        one = chance.choice(chunks)
        match chance.randrange(5):
            case 0 if one[1]:
                one[1] = _some_bytes(one[1], chance)
            case 1 if len(one[1]) > 4:
                one[1] = _number(one[1], chance)
            case 2:
                chunks.insert(chance.randrange(len(chunks)), list(one))
            case 3 if len(chunks) > 1:
                chunks.remove(one)
            case _:
                one[0] = chance.choice((b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"acTL"))
    written = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return file[:8] + b"".join(written)


_DAMAGES = (_some_bytes, _cut, _moved, _number, _png_chunks, _png_chunks)
