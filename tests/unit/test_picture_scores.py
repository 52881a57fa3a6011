"""What is said of a picture or clip beside that of `none`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from deployments.picture_scores import Scores
from deployments.pictures import encode

NOISE = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
BITS = np.where(NOISE < 255, NOISE + 1, NOISE - 1).astype(np.uint8)


def picture(values: np.ndarray) -> bytes:
    return encode([Image.fromarray(values)], "png", None, fps=1)


def clip(values: np.ndarray) -> bytes:
    """Every frame as it is: an animated PNG loses nothing."""
    return encode([Image.fromarray(frame) for frame in values], "png", None, fps=4)


def test_equal_pictures_are_as_near_as_can_be():
    found = Scores().of("a", picture(NOISE[0]), picture(NOISE[0]))
    assert (found.psnr_db, found.ssim) == (math.inf, 1.0)
    assert (found.lpips, found.clip_score, found.adherence) == (None, None, None)


def test_a_difference_of_one_level_everywhere_is_48_db():
    found = Scores().of("a", picture(BITS[0]), picture(NOISE[0]))
    assert found.psnr_db == pytest.approx(20 * math.log10(255))
    assert 0.99 < found.ssim < 1.0


def test_a_clip_is_compared_frame_by_frame_and_its_error_is_that_of_all_pixels():
    one_frame_off = np.concatenate([BITS[:1], NOISE[1:]])
    found = Scores().of("a", clip(one_frame_off), clip(NOISE))
    assert found.psnr_db == pytest.approx(20 * math.log10(255) + 10 * math.log10(4))


def test_judges_see_the_prompt_and_the_first_frame():
    def judge(prompt: str, seen: Image.Image) -> tuple[int, int]:
        assert np.array_equal(np.asarray(seen), NOISE[0])
        return len(prompt), 5

    def learned(prompt: str, seen: Image.Image, reference: Image.Image) -> float:
        assert np.array_equal(np.asarray(reference), BITS[0])
        return 0.25

    found = Scores(judge, {"lpips": learned, "clip": learned}).of("abc", clip(NOISE), clip(BITS))
    assert (found.adherence, found.lpips, found.clip_score) == ((3, 5), 0.25, 0.25)
