"""Whether what a pipeline makes can be right: finite numbers, and not black all over.

A picture of NaN comes out black and one of infinities in flat colours: rounding and clamping hide
both. So the latents are looked at after each step, and what the VAE decodes before the pipeline
clamps it. (The VAEs of Wan and Qwen-Image clamp infinities themselves; NaN comes through.) Imports
no Ray.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cluster.errors import EngineFailed, OutputCorrupt
from cluster.job import Job
from cluster.tiers import Tier

Pixels = npt.NDArray[np.floating]

LOOK_EVERY = 8
"""Steps from one look at what was noted of the latents to the next.

To look is to wait for the device, which otherwise lags behind: so it is not done at every step.
"""


class Finiteness:
    """Notes whether tensors hold finite numbers alone, on their device and without waiting for it.

    One reduction for each, which takes no memory; `benchmarks/output_checks.py` measures its cost.
    """

    def __init__(self) -> None:
        self._flags: list[torch.Tensor] = []

    def __len__(self) -> int:
        """How many tensors were noted."""
        return len(self._flags)

    def note(self, tensor: torch.Tensor) -> None:
        least, most = torch.aminmax(tensor)
        self._flags.append(torch.isfinite(least) & torch.isfinite(most))

    def first_bad(self) -> int | None:
        """The index of the first that holds another value. Waits for the device."""
        if not self._flags:
            return None
        flags = torch.stack(self._flags).tolist()
        return flags.index(False) if False in flags else None

    def forget(self) -> None:
        self._flags.clear()


class OutputWatch:
    """Looks at all that one VAE decodes, and at the latents that become it."""

    def __init__(self, vae: Any) -> None:
        """Puts its note-taking around `vae.decode`, which the siblings of a pipeline share."""
        self._latents = Finiteness()
        self._decoded = Finiteness()
        decode = vae.decode

        @functools.wraps(decode)
        def noted(*arguments: Any, **settings: Any) -> Any:
            decoded = decode(*arguments, **settings)
            self._decoded.note(decoded[0])
            return decoded

        vae.decode = noted

    def begin(self) -> None:
        """The next call of a pipeline."""
        self._latents.forget()

    def bad_step(self, latents: torch.Tensor, step: int, steps: int) -> int | None:
        """Which step first left latents that are not finite, counted from 1; None for none known.

        Called after each step with its latents. It knows no later than `LOOK_EVERY` steps after,
        and at the last step. What was decoded up to there, for previews, is forgotten.
        """
        self._latents.note(latents)
        self._decoded.forget()
        if step % LOOK_EVERY and step != steps:
            return None
        bad = self._latents.first_bad()
        return None if bad is None else bad + 1

    def fault_of(self, pictures: list[Pixels], job: Job, pipeline: str) -> str | None:
        """What is wrong with the pictures that were decoded since the last step, if anything is.

        A picture that was drawn from noise is never black in every value: a VAE leaves some noise.
        One that began from the caller's pictures may be.

        Raises:
            EngineFailed: the pipeline decoded otherwise, so nobody has looked.
        """
        if not len(self._decoded):
            raise EngineFailed(f"{pipeline} decoded by other means than its VAE: not looked at")
        if self._decoded.first_bad() is not None:
            return "what the VAE decoded is not all finite numbers"
        if not job.images and any(is_black(picture) for picture in pictures):
            return f"a {'picture' if job.num_frames is None else 'clip'} is black all over"
        return None


def is_black(values: Pixels) -> bool:
    """Whether every value, 0 to 1, of every frame becomes 0 when it is rounded to a byte."""
    frames = values if values.ndim == 4 else values[None]
    return all(np.round(frame.max() * 255) == 0 for frame in frames)


def latents_fault(step: int, steps: int) -> str:
    """Says which step left latents that are not finite."""
    return f"the latents after step {step} of {steps} are not all finite numbers"


def corrupt(fault: str, tier: Tier) -> OutputCorrupt:
    """The error of a job that was made in that tier."""
    return OutputCorrupt(f"corrupt output in tier {tier}: {fault}")
