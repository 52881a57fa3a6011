"""How near one picture, or all frames of a clip, is to another."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence
from skimage.metrics import peak_signal_noise_ratio

from deployments.clips import decode_clip, is_clip

Pixels = npt.NDArray[np.uint8]
"""[height, width, 3] of a picture, [frames, height, width, 3] of a file."""

NEAREST_DB = 100.0
"""What a mean counts for equal pictures, and for any that are nearer than this."""


def psnr_db(picture: Image.Image, reference: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB over all channels of 8 bits; infinite for equal pictures."""
    return pixels_psnr_db(*(np.asarray(each.convert("RGB")) for each in (picture, reference)))


def pixels_psnr_db(pixels: Pixels, reference: Pixels) -> float:
    """The same of pixels; that of a clip goes by the error of all its frames together."""
    if np.array_equal(pixels, reference):
        return math.inf
    return float(peak_signal_noise_ratio(reference, pixels, data_range=255))


def files_psnr_db(files: Sequence[bytes], references: Sequence[bytes]) -> float:
    """The mean PSNR in dB of files of pictures or clips, pair by pair."""
    values = [
        min(pixels_psnr_db(frames_of(file), frames_of(reference)), NEAREST_DB)
        for file, reference in zip(files, references, strict=True)
    ]
    return sum(values) / len(values)


def frames_of(file: bytes) -> Pixels:
    """The frames of a clip, in MP4 or as an animation; a picture is one."""
    if is_clip(file):
        return decode_clip(file)
    pictures = ImageSequence.Iterator(Image.open(io.BytesIO(file)))
    return np.stack([np.asarray(frame.convert("RGB")) for frame in pictures])
