"""Clips as MP4 files: what players need of them, and what comes back."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from deployments.clips import clip_comment, decode_clip, encode_clip, is_clip
from deployments.fidelity import files_psnr_db, frames_of, pixels_psnr_db
from deployments.file_metadata import read_metadata
from deployments.pictures import as_pictures, encode

Frames = npt.NDArray[np.uint8]


def moving(frames: int = 17, height: int = 128, width: int = 192) -> Frames:
    """Gradients that move and brighten; content for which x264 once gave unlike bytes."""
    down, across = np.mgrid[0:height, 0:width]
    return np.stack(
        [
            np.stack(
                [(across + 4 * step) % 256, 2 * down % 256, np.full_like(down, 40 + 8 * step)], -1
            )
            for step in range(frames)
        ]
    ).astype(np.uint8)


def plain(*colours: tuple[int, int, int], frames: int = 5) -> Frames:
    """Stripes of plain colours."""
    row = np.repeat(np.array(colours, np.uint8), 64, axis=0)
    return np.broadcast_to(row, (frames, 64, len(row), 3)).copy()


@pytest.fixture(scope="module")
def clip() -> bytes:
    return encode_clip(list(moving()), 16, {"seed": "3"})


def test_frames_come_back_as_many_as_large_and_much_alike(clip: bytes) -> None:
    frames = decode_clip(clip)
    assert frames.shape == moving().shape
    assert pixels_psnr_db(frames, moving()) > 35


@pytest.mark.parametrize(
    "colour", [(220, 40, 40), (40, 90, 220), (245, 245, 245), (0, 0, 0), (30, 160, 60)]
)
def test_colours_come_back(colour: tuple[int, int, int]) -> None:
    """Matrix and range are the same both ways; BT.601 for BT.709 would be 20 off."""
    found = decode_clip(encode_clip(list(plain(colour)), 16, {}))
    assert np.abs(found.astype(int) - np.array(colour)).max() <= 3


def test_players_are_told_codec_colours_and_speed(clip: bytes) -> None:
    with av.open(io.BytesIO(clip)) as container:
        stream: Any = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 16
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        assert context.color_range == 1


def test_the_index_comes_before_the_frames(clip: bytes) -> None:
    assert clip.index(b"ftyp") < clip.index(b"moov") < clip.index(b"mdat")


@pytest.mark.parametrize("noisy", [False, True])
def test_the_same_frames_give_the_same_bytes(noisy: bool) -> None:
    frames = moving()
    if noisy:
        noise = np.random.default_rng(0).normal(0, 8, frames.shape)
        frames = (frames + noise).clip(0, 255).astype(np.uint8)
    assert len({encode_clip(list(frames), 16, {}) for _ in range(12)}) == 1


def test_a_clip_says_how_it_was_made(clip: bytes) -> None:
    assert read_metadata(clip) == {"seed": "3"}
    silent = encode_clip(list(moving(frames=2)), 16, {})
    assert clip_comment(silent) is None
    assert read_metadata(silent) == {}


def test_a_clip_of_one_frame_is_a_clip() -> None:
    file = encode_clip(list(plain((220, 40, 40), frames=1)), 16, {})
    assert is_clip(file)
    assert len(decode_clip(file)) == 1


def test_an_mp4_is_made_of_the_values_of_a_clip_and_compared_by_its_frames() -> None:
    values = moving(frames=5) / 255
    other = values.copy()
    other[:, 32:64, 32:64] = 1 - other[:, 32:64, 32:64]
    file, unlike = (
        encode(as_pictures(each), "mp4", None, 16, {"tier": "none"}) for each in (values, other)
    )
    animation = encode(as_pictures(values), "webp", None, 16)
    assert frames_of(file).shape == frames_of(animation).shape == (5, 128, 192, 3)
    assert files_psnr_db([file], [file]) == 100
    assert files_psnr_db([unlike], [file]) < 25
    assert files_psnr_db([animation], [file]) > 30


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_an_animation_or_a_picture_says_how_it_was_made(output_format: str) -> None:
    said = {"model": "shapes", "seed": "3", "prompt": "Übergröße 大"}
    picture = Image.fromarray(moving(frames=1)[0])
    file = encode([picture], output_format, 80, 16, said)
    silent = encode([picture], output_format, 80, 16)
    assert read_metadata(file) == said
    assert read_metadata(silent) == {}
    assert np.array_equal(frames_of(file), frames_of(silent))
    assert file == encode([picture], output_format, 80, 16, said)


def test_an_animated_webp_says_how_it_was_made() -> None:
    said = {"model": "wan"}
    assert read_metadata(encode(as_pictures(moving(3) / 255), "webp", 80, 8, said)) == said


@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_a_quick_file_is_a_whole_one(output_format: str) -> None:
    picture = Image.fromarray(moving(frames=1)[0])
    quick = Image.open(io.BytesIO(encode([picture], output_format, None, 1, quick=True)))
    assert (quick.format, quick.size) == (output_format.upper(), picture.size)
