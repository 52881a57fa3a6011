"""How near one picture is to another."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageSequence
from skimage.metrics import peak_signal_noise_ratio

EQUAL_DB = 100.0
"""What equal pictures count as in a mean: more than any that differ by one level in one pixel."""


def psnr_db(picture: Image.Image, reference: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB over all channels of 8 bits; infinite for equal pictures."""
    first = np.asarray(picture.convert("RGB"))
    second = np.asarray(reference.convert("RGB"))
    if np.array_equal(first, second):
        return math.inf
    return float(peak_signal_noise_ratio(second, first, data_range=255))


def files_psnr_db(files: Sequence[bytes], references: Sequence[bytes]) -> float:
    """The mean PSNR in dB over all frames of files of pictures or clips, pair by pair."""
    values = [
        min(psnr_db(frame, other), EQUAL_DB)
        for file, reference in zip(files, references, strict=True)
        for frame, other in zip(_frames(file), _frames(reference), strict=True)
    ]
    return sum(values) / len(values)


def _frames(file: bytes) -> list[Image.Image]:
    return [frame.convert("RGB") for frame in ImageSequence.Iterator(Image.open(io.BytesIO(file)))]
