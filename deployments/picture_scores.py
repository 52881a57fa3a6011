"""How faithful a picture or clip is to that of `none`, and what it shows of its prompt."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence
from skimage.metrics import structural_similarity

from cluster.tier_samples import Fidelity
from deployments.fidelity import psnr_db
from deployments.generate import Judge
from deployments.learned_scores import LearnedScore


@dataclass(frozen=True)
class Scores:
    """What can be said of a picture: PSNR and SSIM always, the rest where there are judges."""

    judge: Judge | None = None
    learned: Mapping[str, LearnedScore] = field(default_factory=dict)

    def of(self, prompt: str, file: bytes, reference: bytes) -> Fidelity:
        """The scores of a file of a picture or clip; judges see the first frame of a clip."""
        frames, references = _frames(file), _frames(reference)
        picture, its_reference = Image.fromarray(frames[0]), Image.fromarray(references[0])
        learned = {
            name: score(prompt, picture, its_reference) for name, score in self.learned.items()
        }
        return Fidelity(
            psnr_db=psnr_db(_joined(frames), _joined(references)),
            ssim=_ssim(frames, references),
            lpips=learned.get("lpips"),
            clip_score=learned.get("clip"),
            adherence=self.judge(prompt, picture) if self.judge else None,
        )


Frames = npt.NDArray[np.uint8]
"""[frames, height, width, 3]"""


def _frames(file: bytes) -> Frames:
    pictures = ImageSequence.Iterator(Image.open(io.BytesIO(file)))
    return np.stack([np.asarray(frame.convert("RGB")) for frame in pictures])


def _joined(frames: Frames) -> Image.Image:
    """All frames below each other: the PSNR of a clip goes by the error of all its pixels."""
    return Image.fromarray(frames.reshape(-1, *frames.shape[2:]))


def _ssim(frames: Frames, references: Frames) -> float:
    """Structural similarity (Wang et al., IEEE TIP 13, 2004), the mean over frames and channels.

    Windows of 7 x 7 pixels, all alike: scikit-image's defaults.
    """
    values = [
        structural_similarity(reference, frame, channel_axis=2, data_range=255)
        for frame, reference in zip(frames, references, strict=True)
    ]
    return float(np.mean(values))
