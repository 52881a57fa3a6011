"""How near one picture is to another."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio


def psnr_db(picture: Image.Image, reference: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB over all channels of 8 bits; infinite for equal pictures."""
    first = np.asarray(picture.convert("RGB"))
    second = np.asarray(reference.convert("RGB"))
    if np.array_equal(first, second):
        return math.inf
    return float(peak_signal_noise_ratio(second, first, data_range=255))
