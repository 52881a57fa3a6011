"""How faithful a picture or clip is to that of `none`, and what it shows of its prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

from cluster.tier_samples import Fidelity
from deployments.fidelity import Pixels, frames_of, pixels_psnr_db
from deployments.learned_scores import LearnedScore
from deployments.tier_rows import Judge


@dataclass(frozen=True)
class Scores:
    """What can be said of a picture: PSNR and SSIM always, the rest where there are judges."""

    judge: Judge | None = None
    learned: Mapping[str, LearnedScore] = field(default_factory=dict)

    def of(self, prompt: str, file: bytes, reference: bytes) -> Fidelity:
        """The scores of a file of a picture or clip; judges see the first frame of a clip."""
        frames, references = frames_of(file), frames_of(reference)
        picture, its_reference = Image.fromarray(frames[0]), Image.fromarray(references[0])
        learned = {
            name: score(prompt, picture, its_reference) for name, score in self.learned.items()
        }
        return Fidelity(
            psnr_db=pixels_psnr_db(frames, references),
            ssim=_ssim(frames, references),
            lpips=learned.get("lpips"),
            clip_score=learned.get("clip"),
            adherence=self.judge(prompt, picture) if self.judge else None,
        )


def _ssim(frames: Pixels, references: Pixels) -> float:
    """Structural similarity (Wang et al., IEEE TIP 13, 2004), the mean over frames and channels.

    Windows of 7 x 7 pixels, all alike: scikit-image's defaults.
    """
    values = [
        structural_similarity(reference, frame, channel_axis=2, data_range=255)
        for frame, reference in zip(frames, references, strict=True)
    ]
    return float(np.mean(values))
