"""The engine for diffusers pipelines. Imports no Ray: it runs under a plain script too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cluster.acceleration import CacheConfig
from cluster.errors import EngineFailed, InvalidRequest
from cluster.request import SEED_MAX, Job
from cluster.tiers import Tier
from deployments.acceleration import accelerate
from deployments.cached_transformer import CachedTransformer, shares_of_steps, step_mask
from deployments.collectives import join
from deployments.device import device_name
from deployments.engine import EngineResult, EngineSpec, StepBoundary, Stopped, World
from deployments.pictures import as_pictures, encode
from deployments.pipeline_calls import PipelineCalls, pixels
from deployments.pipeline_loading import load_pipeline, place, transformers_of

Pixels = npt.NDArray[np.floating]

_DOES_NOT_DIVIDE = "must be divisible by mesh size"
"""What cache-dit asserts of a sequence that it is to share out among ranks."""

_MASK_IN_RING = "attn_mask"
"""What cache-dit names when a mask comes to ring attention, which takes none."""


class DiffusersEngine:
    """A diffusers DiT pipeline with cache-dit on its transformers; the tier is chosen per job."""

    def __init__(self, spec: EngineSpec, world: World | None, store: Any) -> None:
        """Loads the pipeline onto its device, and joins the other ranks where there are some.

        Raises:
            ConfigError: the source is no such pipeline, or cache-dit cannot do with it what the
                spec asks.
        """
        self._spec = spec
        if spec.device == "cpu":
            torch.set_num_threads(spec.threads)
        self._group = join(world, store, spec.device)
        self._pipeline = load_pipeline(spec)
        self._calls = PipelineCalls(self._pipeline, spec.source, spec.max_sequence_length)
        transformers = transformers_of(self._pipeline, spec.source)
        if spec.offload == "none":
            place(self._pipeline, spec)
        accelerate(self._pipeline, transformers, spec)
        self._only_to_encode = [] if spec.offload == "none" else place(self._pipeline, spec)
        self._cached = [CachedTransformer(transformer) for transformer in transformers]
        self._decodes = self._group.rank == 0 or "vae" in spec.parallelism.extra_parallel_modules
        self._without_gradients = _mode(spec)
        self._call_count = 0
        self._first_call_s: float | None = None
        for transformer in transformers:
            transformer.register_forward_pre_hook(self._note_call)

    def warm_up(self) -> None:
        width, height = self._spec.warm_up_size
        tier = next(iter(self._spec.tiers))
        job = Job(
            "warm-up",
            self._spec.model,
            "warm-up",
            1,
            width,
            height,
            tier,
            None,
            num_inference_steps=2,
            seed=0,
            num_frames=self._spec.warm_up_frames,
            images=_blank_picture(width, height) if self._calls.edits_pictures else (),
        )
        self.render(job, tier, lambda done, total: True)

    def generate(self, job: Job, tier: Tier, boundary: StepBoundary) -> EngineResult:
        values, result = self.render(job, tier, boundary)
        started = time.perf_counter()
        images = tuple(
            encode(as_pictures(each), job.output_format, job.output_compression, job.fps)
            for each in values
        )
        encoding_s = time.perf_counter() - started
        return replace(result, images=images, decode_s=result.decode_s + encoding_s)

    def device_name(self) -> str:
        return device_name(self._spec.device)

    def with_caches(self, tiers: Mapping[Tier, CacheConfig]) -> None:
        """Gives the tiers other cache settings from the next job on; nothing is loaded anew."""
        self._spec = replace(self._spec, tiers=tiers)

    def render(
        self, job: Job, tier: Tier, boundary: StepBoundary
    ) -> tuple[list[Pixels], EngineResult]:
        """The values of the pictures, 0 to 1, [frames x] height x width x 3, and the statistics.

        Only rank 0 has values. Raises as `generate` does.
        """
        arguments = self._calls.arguments(job)
        values: list[Pixels] = []
        diffs: list[Mapping[int, float]] = []
        computed = cached = 0
        seconds = {"encode": 0.0, "denoise": 0.0, "decode": 0.0}
        notes: tuple[str, ...] = ()
        for index in range(job.n):
            shares, separate_cfg, note = self._reset(job, tier)
            notes = (note,) if note else ()
            found, times = self._one_picture(
                job, index, arguments, boundary, separate_cfg=separate_cfg
            )
            if found is not None:
                values.append(found)
            counts = [
                each.statistics(steps)
                for each, steps in zip(self._cached, shares, strict=True)
                if steps
            ]
            computed += sum(count.steps_computed for count in counts)
            cached += sum(count.steps_cached for count in counts)
            diffs.append(_joined([count.residual_diffs for count in counts], shares))
            seconds = {stage: seconds[stage] + times[stage] for stage in seconds}
        return values, EngineResult(
            images=(),
            steps_computed=computed,
            steps_cached=cached,
            residual_diffs=tuple(diffs),
            encode_s=seconds["encode"],
            denoise_s=seconds["denoise"],
            decode_s=seconds["decode"],
            notes=notes,
        )

    def _reset(self, job: Job, tier: Tier) -> tuple[tuple[int, ...], bool, str | None]:
        """Prepares the caches for one picture.

        Returns the steps that each transformer will do, whether each makes two calls, and a note
        where something is done otherwise than the tier's name suggests.
        """
        cache = self._spec.tiers[tier]
        by_default = self._cached[0].separate_cfg_by_default
        separate_cfg = self._calls.runs_cfg_apart(job, cache, by_default=by_default)
        mask, note = step_mask(cache, tier, job.num_inference_steps)
        shares = shares_of_steps(self._pipeline, job.num_inference_steps, len(self._cached))
        begin = 0
        for cached, steps in zip(self._cached, shares, strict=True):
            if steps:
                own = None if mask is None else [1, *mask[begin + 1 : begin + steps]]
                cached.reset(cache, tier, own, steps, separate_cfg=separate_cfg)
            begin += steps
        return shares, separate_cfg, note

    def _one_picture(
        self,
        job: Job,
        index: int,
        arguments: Mapping[str, Any],
        boundary: StepBoundary,
        *,
        separate_cfg: bool,
    ) -> tuple[Pixels | None, dict[str, float]]:
        total = job.n * job.num_inference_steps
        last_step_s = 0.0

        def after_step(
            pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]
        ) -> dict[str, Any]:
            """The step boundary: the one place where ranks agree to go on or to stop."""
            nonlocal last_step_s
            if step + 1 == job.num_inference_steps:
                last_step_s = self._now()
            if not self._group.agree(boundary(index * job.num_inference_steps + step + 1, total)):
                raise Stopped
            return tensors

        seed = (job.seed + index) % (SEED_MAX + 1)
        generator = torch.Generator(self._spec.generator_device).manual_seed(seed)
        self._call_count, self._first_call_s = 0, None
        started = self._now()
        try:
            with self._without_gradients():
                output = self._pipeline(
                    **arguments,
                    generator=generator,
                    callback_on_step_end=after_step,
                    output_type="np" if self._decodes else "latent",
                )
        except Stopped:
            raise
        except Exception as error:
            raise self._failure(job, error) from error
        finished = self._now()
        expected = job.num_inference_steps * (2 if separate_cfg else 1)
        if self._call_count != expected or self._first_call_s is None:
            raise EngineFailed(
                f"{type(self._pipeline).__name__} called its transformer {self._call_count} times "
                f"in {job.num_inference_steps} steps, not {expected}: "
                "the step mask would not fit"
            )
        times = {
            "encode": self._first_call_s - started,
            "denoise": last_step_s - self._first_call_s,
            "decode": finished - last_step_s,
        }
        return pixels(output) if self._group.rank == 0 else None, times

    def _failure(self, job: Job, error: Exception) -> Exception:
        """What a pipeline's exception means to the caller."""
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        if isinstance(error, AssertionError) and _DOES_NOT_DIVIDE in reason:
            dims = self._spec.dims
            return InvalidRequest(
                f"size: {job.width}x{job.height} with this prompt makes a sequence that does not "
                f"divide by the {dims.ulysses_size * dims.ring_size} ranks of {dims.label}; "
                "another size may, and ulysses_anything takes any",
                param="size",
            )
        if (
            isinstance(error, ValueError)
            and _MASK_IN_RING in reason
            and self._spec.dims.ring_size > 1
        ):
            return InvalidRequest(
                "negative_prompt: guidance with prompts of unlike length needs a mask here, which "
                f"ring attention ({self._spec.dims.label}) does not take",
                param="negative_prompt",
            )
        return EngineFailed(f"{type(self._pipeline).__name__} failed on this request: {reason}")

    def _note_call(self, module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        if self._first_call_s is None:
            for hook in self._only_to_encode:
                hook.offload()
            self._first_call_s = self._now()
        self._call_count += 1

    def _now(self) -> float:
        """Seconds, with the device's work up to here done."""
        if self._spec.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def _mode(spec: EngineSpec) -> Callable[[], AbstractContextManager[Any]]:
    """`inference_mode`, the faster one, but where modules replace or unwrap their own weights.

    Those are accelerate's hooks that move layer by layer, and torchao's weights in shards.
    """
    sharded_and_quantized = spec.dims.tp_size > 1 and spec.quantize_config is not None
    if spec.offload == "sequential" or sharded_and_quantized:
        return torch.no_grad
    return torch.inference_mode


def _joined(diffs: list[Mapping[int, float]], shares: tuple[int, ...]) -> Mapping[int, float]:
    """The residual differences of all transformers, by the step of the whole schedule."""
    joined: dict[int, float] = {}
    begin = 0
    for steps, each in zip([share for share in shares if share], diffs, strict=True):
        joined |= {begin + step: diff for step, diff in each.items()}
        begin += steps
    return joined


def _blank_picture(width: int, height: int) -> tuple[bytes, ...]:
    gray = np.full((height, width, 3), 0.5)
    return (encode(as_pictures(gray), "png", None, fps=1),)
