"""Pictures shown before they are finished: what the denoiser predicts, decoded on rank 0.

Imports no Ray. What may be shown when is decided in `cluster.preview_steps`.

Previews are of the families whose latents are known here, with flow matching by Euler steps. There
are none where the VAE is divided among ranks, since it then decodes on all of them or not at all,
nor where it is off the device between two steps (offload `model` and `sequential`).
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch.nn import functional

from cluster.job import Job
from cluster.preview_steps import PreviewCost, choose_scale, plan_previews
from deployments.clean_latents import averaged, can_predict, for_vae, predicted_clean
from deployments.corrupt_output import Finiteness, is_black
from deployments.device import now_s
from deployments.engine import EngineSpec, Preview
from deployments.pictures import as_pictures, encode

SCALES = (1, 2)
"""By which latents are averaged down before they are decoded.

At 2 a decoder does a quarter of the work, and shows a picture of half the size, a little soft. At 4
the embedded model's shapes become others (14 dB to the finished picture, where 2 has 24).
"""

_REHEARSALS = 3


class Watcher(Protocol):
    """Sees the latents of a picture after each step; rank 0 only."""

    def look(self, pipeline: Any, steps_done: int, latents: torch.Tensor, began_s: float) -> None:
        """`latents` are those of the batch after `steps_done` steps; `began_s` when they began."""


class Previews:
    """Makes previews for one pipeline, and knows what they cost."""

    def __init__(self, pipeline: Any, device: str) -> None:
        self._pipeline = pipeline
        self._device = device
        self._costs = {scale: PreviewCost() for scale in SCALES}

    def of(self, job: Job, preview: Preview) -> Watcher:
        """Shows the previews of a job's first picture, while time allows."""
        return _PicturePreviews(self, job, preview)

    def rehearsal(self, job: Job) -> Watcher:
        """Makes some of a small job and shows none: so the first real ones have a known cost."""
        return _Rehearsal(self, job)

    def costs_s(self, job: Job) -> dict[int, float]:
        """What a preview of this job is expected to take, by its scale; empty before any was."""
        now_s = self.now_s()
        expected = {scale: cost.expected(now_s) for scale, cost in self._costs.items()}
        pixels = job.width * job.height
        return {scale: cost * pixels for scale, cost in expected.items() if cost is not None}

    def make(self, predicted: torch.Tensor, scale: int, job: Job) -> bytes | None:
        """The whole file of a preview, of the job's size, from predicted clean latents.

        None where it cannot be right: the latents and the picture itself are judged on their own.
        """
        began_s = self.now_s()
        latents = for_vae(self._pipeline, predicted, job.width, job.height)
        file = self._file(latents, scale, job)
        done_s = self.now_s()
        self._costs[scale].learn((done_s - began_s) / (job.width * job.height), done_s)
        return file

    def now_s(self) -> float:
        """Of the device's clock, as `deployments.device` has it."""
        return now_s(self._device)

    def _file(self, latents: torch.Tensor, scale: int, job: Job) -> bytes | None:
        vae, finiteness = self._pipeline.vae, Finiteness()
        decoded = vae.decode(averaged(latents, scale).to(vae.dtype), return_dict=False)[0].float()
        finiteness.note(decoded)
        if decoded.ndim == 5:
            decoded = decoded[:, :, 0]
        if scale > 1:
            decoded = functional.interpolate(decoded, (job.height, job.width), mode="bilinear")
        values = (decoded[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        if finiteness.first_bad() is not None or (not job.images and is_black(values)):
            return None
        return encode(
            as_pictures(values), job.output_format, job.output_compression, job.fps, quick=True
        )


class _PicturePreviews:
    """The previews of one picture."""

    def __init__(self, previews: Previews, job: Job, preview: Preview) -> None:
        self._previews = previews
        self._job = job
        self._preview = preview
        self._plan = plan_previews(job.steps, job.partial_images)
        self._before: torch.Tensor | None = None
        self._shown_after = 0
        self._spent_s = 0.0

    def look(self, pipeline: Any, steps_done: int, latents: torch.Tensor, began_s: float) -> None:
        before, self._before = self._before, latents[:1]
        if before is None or not self._plan.is_due(steps_done, self._shown_after):
            return
        looked_s = self._previews.now_s()
        denoised_s = looked_s - began_s - self._spent_s
        choice = choose_scale(self._previews.costs_s(self._job), self._spent_s, denoised_s)
        if choice.scale is None:
            return
        predicted = predicted_clean(pipeline.scheduler, before, latents[:1])
        if (file := self._previews.make(predicted, choice.scale, self._job)) is not None:
            self._preview(file)
        self._shown_after = steps_done
        self._spent_s += self._previews.now_s() - looked_s


class _Rehearsal:
    """Previews of all scales after the second step of a small job."""

    def __init__(self, previews: Previews, job: Job) -> None:
        self._previews = previews
        self._job = job
        self._before: torch.Tensor | None = None

    def look(self, pipeline: Any, steps_done: int, latents: torch.Tensor, began_s: float) -> None:
        before, self._before = self._before, latents[:1]
        if before is None or steps_done > 2:
            return
        predicted = predicted_clean(pipeline.scheduler, before, latents[:1])
        for scale in SCALES:
            for _ in range(_REHEARSALS):
                self._previews.make(predicted, scale, self._job)


def previews_of(pipeline: Any, spec: EngineSpec) -> Previews | None:
    """What makes a pipeline's previews; None where there can be none."""
    divided = "vae" in spec.parallelism.extra_parallel_modules
    if divided or spec.offload in ("model", "sequential") or not can_predict(pipeline):
        return None
    return Previews(pipeline, spec.device)
