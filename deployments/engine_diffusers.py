"""The engine for diffusers pipelines. Imports no Ray: it runs under a plain script too."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from PIL import Image

from cluster.errors import ConfigError, EngineFailed, InvalidRequest
from cluster.request import SEED_MAX, Job
from cluster.tiers import Tier
from deployments.acceleration import CachedTransformer
from deployments.engine import EngineResult, EngineSpec, StepBoundary, Stopped
from deployments.pictures import encode_picture

_OPTIONAL = ("guidance_scale", "true_cfg_scale", "negative_prompt")


class DiffusersEngine:
    """A diffusers DiT pipeline with cache-dit on its transformer; the tier is chosen per job."""

    def __init__(self, spec: EngineSpec) -> None:
        """Loads the pipeline onto its device.

        Raises:
            ConfigError: the source is no such pipeline, or has no transformer that cache-dit knows.
        """
        self._spec = spec
        if spec.device == "cpu":
            torch.set_num_threads(spec.threads)
        self._pipeline = _load(spec)
        self._pipeline.set_progress_bar_config(disable=True)
        self._takes = inspect.signature(self._pipeline.__call__).parameters
        if "callback_on_step_end" not in self._takes:
            raise ConfigError(
                f"{spec.source}: {type(self._pipeline).__name__} has no callback_on_step_end, "
                "so its steps cannot be watched"
            )
        if "num_frames" in self._takes:
            raise ConfigError(
                f"{spec.source}: {type(self._pipeline).__name__} makes videos, "
                "which are not served yet"
            )
        transformer = _only_transformer(self._pipeline, spec.source)
        self._cached = CachedTransformer(transformer, spec)
        if spec.compile:
            transformer.compile_repeated_blocks()
        self._calls = 0
        self._first_call_s: float | None = None
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
        )
        self.generate(job, tier, lambda done, total: True)

    def generate(self, job: Job, tier: Tier, boundary: StepBoundary) -> EngineResult:
        arguments = self._arguments(job)
        images: list[bytes] = []
        notes: dict[str, None] = {}
        diffs: list[Mapping[int, float]] = []
        computed = cached = 0
        seconds = {"encode": 0.0, "denoise": 0.0, "decode": 0.0}
        for index in range(job.n):
            separate_cfg = self._runs_cfg_apart(job, tier)
            note = self._cached.reset(
                self._spec.tiers[tier], tier, job.num_inference_steps, separate_cfg=separate_cfg
            )
            picture, times = self._one_picture(
                job, index, arguments, boundary, separate_cfg=separate_cfg
            )
            statistics = self._cached.statistics(job.num_inference_steps)
            computed += statistics.steps_computed
            cached += statistics.steps_cached
            diffs.append(statistics.residual_diffs)
            notes |= {note: None} if note else {}
            encoding = time.perf_counter()
            images.append(encode_picture(picture, job.output_format, job.output_compression))
            times["decode"] += time.perf_counter() - encoding
            seconds = {stage: seconds[stage] + times[stage] for stage in seconds}
        return EngineResult(
            images=tuple(images),
            steps_computed=computed,
            steps_cached=cached,
            residual_diffs=tuple(diffs),
            encode_s=seconds["encode"],
            denoise_s=seconds["denoise"],
            decode_s=seconds["decode"],
            notes=tuple(notes),
        )

    def _one_picture(
        self,
        job: Job,
        index: int,
        arguments: Mapping[str, Any],
        boundary: StepBoundary,
        *,
        separate_cfg: bool,
    ) -> tuple[Image.Image, dict[str, float]]:
        total = job.n * job.num_inference_steps
        last_step_s = 0.0

        def after_step(
            pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]
        ) -> dict[str, Any]:
            nonlocal last_step_s
            if step + 1 == job.num_inference_steps:
                last_step_s = self._now()
            if not boundary(index * job.num_inference_steps + step + 1, total):
                raise Stopped
            return tensors

        seed = (job.seed + index) % (SEED_MAX + 1)
        generator = torch.Generator(self._spec.generator_device).manual_seed(seed)
        self._calls, self._first_call_s = 0, None
        started = self._now()
        try:
            with torch.inference_mode():
                output = self._pipeline(
                    **arguments, generator=generator, callback_on_step_end=after_step
                )
        except Stopped:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise EngineFailed(
                f"{type(self._pipeline).__name__} failed on this request: {reason}"
            ) from error
        finished = self._now()
        expected = job.num_inference_steps * (2 if separate_cfg else 1)
        if self._calls != expected or self._first_call_s is None:
            raise EngineFailed(
                f"{type(self._pipeline).__name__} called its transformer {self._calls} times "
                f"in {job.num_inference_steps} steps, not {expected}: "
                "the step mask would not fit"
            )
        times = {
            "encode": self._first_call_s - started,
            "denoise": last_step_s - self._first_call_s,
            "decode": finished - last_step_s,
        }
        return output.images[0], times

    def _arguments(self, job: Job) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "prompt": job.prompt,
            "width": job.width,
            "height": job.height,
            "num_inference_steps": job.num_inference_steps,
            "output_type": "pil",
        }
        if self._spec.max_sequence_length is not None and "max_sequence_length" in self._takes:
            arguments["max_sequence_length"] = self._spec.max_sequence_length
        for field in _OPTIONAL:
            if (value := getattr(job, field)) is None:
                continue
            if field not in self._takes:
                raise InvalidRequest(
                    f"{field}: {job.model} ({type(self._pipeline).__name__}) takes no {field}",
                    param=field,
                )
            arguments[field] = value
        return arguments

    def _runs_cfg_apart(self, job: Job, tier: Tier) -> bool:
        """Whether a step of this job calls the transformer twice.

        That is once with the prompt and once with the negative prompt.
        """
        if "true_cfg_scale" in self._takes:
            scale = self._value_of("true_cfg_scale", job.true_cfg_scale)
            return job.negative_prompt is not None and scale > 1
        stated = self._spec.tiers[tier].enable_separate_cfg
        apart = self._cached.separate_cfg_by_default if stated is None else stated
        return apart and self._value_of("guidance_scale", job.guidance_scale) > 1

    def _value_of(self, field: str, given: float | None) -> float:
        """What the pipeline will use: the job's value, else its own default, else no guidance."""
        if given is None and field in self._takes:
            given = self._takes[field].default
        return 1.0 if given is None else float(given)

    def _note_call(self, module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        if self._first_call_s is None:
            self._first_call_s = self._now()
        self._calls += 1

    def _now(self) -> float:
        """Seconds, with the device's work up to here done."""
        if self._spec.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def _only_transformer(pipeline: Any, source: str) -> Any:
    name = type(pipeline).__name__
    if getattr(pipeline, "transformer", None) is None:
        raise ConfigError(f"{source}: {name} has no transformer; only DiT pipelines are served")
    if getattr(pipeline, "transformer_2", None) is not None:
        raise ConfigError(f"{source}: {name} has two transformers, which are not served yet")
    return pipeline.transformer


def _load(spec: EngineSpec) -> Any:
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"model {spec.model}, pool {spec.pool}: device is cuda, "
            f"but torch {torch.__version__} sees no CUDA device here"
        )
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            spec.source,
            dtype=getattr(torch, spec.dtype),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=Path(spec.source).exists(),
        )
    except (OSError, ValueError, RuntimeError, AttributeError) as error:
        raise ConfigError(
            f"{spec.source}: cannot be loaded as a diffusers pipeline: "
            f"{' '.join(str(error).split())[:400]}"
        ) from error
    if spec.vae_tiling:
        pipeline.vae.enable_tiling()
    return pipeline.to(spec.device)
