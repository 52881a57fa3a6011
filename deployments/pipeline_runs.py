"""One call of a pipeline for a batch of pictures: watched step by step, and timed by stage.

Imports no Ray. The step boundary is here, the one place where ranks agree to go on or to stop.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from cluster.errors import DitServeError, EngineFailed
from cluster.job import SEED_MAX, Job
from cluster.tiers import Tier
from deployments.collectives import Group
from deployments.corrupt_output import OutputWatch, Pixels, corrupt, latents_fault
from deployments.device import now_s
from deployments.engine import EngineSpec, StepBoundary, Stopped
from deployments.pipeline_failures import is_out_of_memory, out_of_memory, what_failed
from deployments.previews import Watcher

STAGES = ("encode", "denoise", "decode")


@dataclass(frozen=True)
class Call:
    """What is to be made: pictures `first` to `first + pictures - 1` of a job.

    `per_step` is how often a step calls the transformers. `watcher` sees the latents on rank 0.
    """

    job: Job
    tier: Tier
    arguments: Mapping[str, Any]
    first: int
    pictures: int
    per_step: int
    boundary: StepBoundary
    watcher: Watcher | None = None


@dataclass(frozen=True)
class Made:
    """The values of the pictures, on rank 0 only, and the seconds of each stage.

    `fault` says why the pictures cannot be right, where they cannot; rank 0 knows it alone.
    """

    values: Sequence[Pixels]
    seconds: Mapping[str, float]
    fault: str | None = None


class PipelineRuns:
    """Calls a pipeline, or a sibling with the same transformers."""

    def __init__(
        self,
        spec: EngineSpec,
        group: Group,
        transformers: Sequence[torch.nn.Module],
        output: OutputWatch,
        before_denoising: Callable[[], None],
    ) -> None:
        """`before_denoising` is called once in each run, when the prompt is encoded."""
        self._spec = spec
        self._group = group
        self._decodes = group.rank == 0 or "vae" in spec.parallelism.extra_parallel_modules
        self._without_gradients = _mode(spec)
        self._output = output
        self._before_denoising = before_denoising
        self._calls = 0
        self._first_call_s: float | None = None
        for transformer in transformers:
            transformer.register_forward_pre_hook(self._note_call)

    def run(self, pipeline: Any, call: Call) -> Made:
        """Makes the pictures of a call.

        Raises:
            Stopped: `boundary` returned False.
            InvalidRequest: what was asked for cannot be divided among these ranks.
            EngineFailed: the pipeline failed, or the memory was not enough.
            OutputCorrupt: the latents of rank 0 are no numbers; the other ranks are stopped.
        """
        job, last_step_s = call.job, 0.0

        def after_step(
            pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]
        ) -> dict[str, Any]:
            """The step boundary."""
            nonlocal last_step_s
            if step + 1 == job.steps:
                last_step_s = self._now()
            bad = self._output.bad_step(tensors["latents"], step + 1, job.steps)
            done = call.first * job.steps + call.pictures * (step + 1)
            go_on = call.boundary(done, job.n * job.steps) and bad is None
            if not self._group.agree(go_on):
                raise Stopped if bad is None else corrupt(latents_fault(bad, job.steps), call.tier)
            if call.watcher is not None and self._group.rank == 0:
                assert self._first_call_s is not None, "a step calls the transformer"
                call.watcher.look(pipeline, step + 1, tensors["latents"], self._first_call_s)
            return tensors

        self._calls, self._first_call_s = 0, None
        self._output.begin()
        started_s = self._now()
        output = self._output_of(pipeline, call, after_step)
        finished_s = self._now()
        expected = job.steps * call.per_step
        if self._calls != expected or self._first_call_s is None:
            raise EngineFailed(
                f"{type(pipeline).__name__} called its transformer {self._calls} times "
                f"in {job.steps} steps, not {expected}: "
                "the step mask would not fit"
            )
        marks_s = (started_s, self._first_call_s, last_step_s, finished_s)
        seconds = {
            stage: end_s - begin_s
            for stage, begin_s, end_s in zip(STAGES, marks_s, marks_s[1:], strict=False)
        }
        if self._group.rank != 0:
            return Made((), seconds)
        pictures = _pictures(output)
        fault = self._output.fault_of(pictures, job, type(pipeline).__name__)
        return Made(pictures, seconds, fault)

    def _output_of(self, pipeline: Any, call: Call, after_step: Callable[..., Any]) -> Any:
        try:
            with self._without_gradients():
                return pipeline(
                    **{**call.arguments, **self._for_batch(call)},
                    callback_on_step_end=after_step,
                    output_type="np" if self._decodes else "latent",
                )
        except (Stopped, DitServeError):
            raise
        except Exception as error:
            if not is_out_of_memory(error):
                raise what_failed(error, self._spec, call.job, type(pipeline).__name__) from error
            # What holds the memory are the frames of the call, which the traceback keeps.
            traceback.clear_frames(error.__traceback__)
        if self._spec.device == "cuda":
            torch.cuda.empty_cache()
        raise out_of_memory(call.job, call.pictures, self._spec)

    def _for_batch(self, call: Call) -> dict[str, Any]:
        """The arguments that make the batch: a generator for each seed.

        A picture that denoising begins at is given to each, which draws its own encoding of it.
        """
        job = call.job
        generators = [
            torch.Generator(self._spec.generator_device).manual_seed(
                (job.seed + call.first + index) % (SEED_MAX + 1)
            )
            for index in range(call.pictures)
        ]
        if call.pictures == 1:
            return {"generator": generators[0]}
        several = {"generator": generators, "num_images_per_prompt": call.pictures}
        if job.task.starts_part_way:
            several["image"] = call.arguments["image"] * call.pictures
        return several

    def _note_call(self, module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        if self._first_call_s is None:
            self._before_denoising()
            self._first_call_s = self._now()
        self._calls += 1

    def _now(self) -> float:
        return now_s(self._spec.device)


def takes_several(pipeline: Any) -> bool:
    """Whether one call of a pipeline makes several pictures of a prompt."""
    return "num_images_per_prompt" in inspect.signature(pipeline.__call__).parameters


def _mode(spec: EngineSpec) -> Callable[[], AbstractContextManager[Any]]:
    """`inference_mode`, the faster one, but not where weights are moved or sharded.

    Accelerate's hooks, which move layer by layer, replace weights. Sharded ones are DTensors, for
    which torch works out each linear layer of each step anew in that mode: some 30 ms of processor
    time a call (torch 2.13), which `no_grad` spends once.
    """
    if spec.offload == "sequential" or spec.dims.tp_size > 1:
        return torch.no_grad
    return torch.inference_mode


def _pictures(output: Any) -> list[Pixels]:
    """The pictures or clips of a pipeline's output, [frames x] height x width x 3."""
    return list(output.frames if hasattr(output, "frames") else output.images)
