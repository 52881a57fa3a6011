"""The engine for diffusers pipelines. Imports no Ray: it runs under a plain script too."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from cluster.acceleration import CacheConfig
from cluster.batching import batches
from cluster.job import Job
from cluster.picture_metadata import picture_metadata
from cluster.receipt import Stored
from cluster.tiers import Tier
from deployments.acceleration import accelerate
from deployments.cached_transformer import CachedTransformer, shares_of_steps, step_mask
from deployments.collectives import join
from deployments.corrupt_output import OutputWatch, Pixels, corrupt
from deployments.device import device_name, forget_peak_memory, memory
from deployments.engine import (
    EngineResult,
    EngineSpec,
    Preview,
    StepBoundary,
    World,
    no_preview,
)
from deployments.pictures import as_pictures, encode
from deployments.pipeline_calls import PipelineCalls
from deployments.pipeline_loading import load_pipeline, place, transformers_of
from deployments.pipeline_runs import STAGES, Call, PipelineRuns, takes_several
from deployments.previews import Watcher, previews_of
from deployments.results import ResultStore


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
        self._calls = PipelineCalls(self._pipeline, spec)
        transformers = transformers_of(self._pipeline, spec.source)
        if spec.offload == "none":
            place(self._pipeline, spec)
        accelerate(self._pipeline, transformers, spec)
        self._only_to_encode = [] if spec.offload == "none" else place(self._pipeline, spec)
        self._cached = [CachedTransformer(transformer) for transformer in transformers]
        output = OutputWatch(self._pipeline.vae)
        self._runs = PipelineRuns(spec, self._group, transformers, output, self._after_encoding)
        self._previews = previews_of(self._pipeline, spec)
        self._results = ResultStore(spec.results)
        _decode_one_by_one(self._pipeline)

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
            **self._calls.blank_input(width, height),
        )
        watcher = self._previews.rehearsal(job) if self._previews else None
        self._render(job, tier, lambda done, total: True, watcher)

    def generate(
        self, job: Job, tier: Tier, boundary: StepBoundary, preview: Preview = no_preview
    ) -> EngineResult:
        forget_peak_memory(self._spec.device)
        values, result = self.render(job, tier, boundary, preview)
        started = time.perf_counter()
        files = tuple(
            encode(
                as_pictures(each),
                job.output_format,
                job.output_compression,
                job.fps,
                picture_metadata(job, tier, index, self._spec.picture_metadata),
            )
            for index, each in enumerate(values)
        )
        stored = () if job.store_as is None else self._store(files, job)
        return replace(
            result,
            images=files if job.store_as is None else (),
            stored=stored,
            decode_s=result.decode_s + time.perf_counter() - started,
            memory=memory(self._spec.device),
        )

    def device_name(self) -> str:
        return device_name(self._spec.device)

    def with_caches(self, tiers: Mapping[Tier, CacheConfig]) -> None:
        """Gives the tiers other cache settings from the next job on; nothing is loaded anew."""
        self._spec = replace(self._spec, tiers=tiers)

    def render(
        self, job: Job, tier: Tier, boundary: StepBoundary, preview: Preview = no_preview
    ) -> tuple[list[Pixels], EngineResult]:
        """The values of the pictures, 0 to 1, [frames x] height x width x 3, and the statistics.

        Only rank 0 has values. Raises as `generate` does.
        """
        shows = self._previews is not None and job.partial_images > 0
        watcher = self._previews.of(job, preview) if self._previews and shows else None
        return self._render(job, tier, boundary, watcher)

    def _render(
        self, job: Job, tier: Tier, boundary: StepBoundary, watcher: Watcher | None
    ) -> tuple[list[Pixels], EngineResult]:
        """The pictures of a job, batch by batch; `watcher` sees those of the first.

        What is wrong with one of them is told after the last, when the ranks have nothing left to
        do together: rank 0 alone has the pictures, and the others go on meanwhile.
        """
        pipeline = self._calls.pipeline_for(job.task)
        arguments = self._calls.arguments(job)
        cache = self._spec.tiers[tier]
        divided = batches(
            job.n,
            cache,
            tier,
            job.steps,
            self._spec.max_batch,
            takes_several=takes_several(pipeline),
        )
        values: list[Pixels] = []
        diffs: list[Mapping[int, float]] = []
        computed = cached = 0
        seconds = dict.fromkeys(STAGES, 0.0)
        notes: tuple[str | None, ...] = ()
        fault: str | None = None
        first = 0
        for size in divided.sizes:
            shares, separate_cfg, note = self._reset(job, tier)
            notes = (note, divided.note)
            call = Call(
                job=job,
                tier=tier,
                arguments=arguments,
                first=first,
                pictures=size,
                per_step=2 if separate_cfg else 1,
                boundary=boundary,
                watcher=watcher if first == 0 else None,
            )
            made = self._runs.run(pipeline, call)
            values += made.values
            fault = fault or made.fault
            counts = [
                each.statistics(steps)
                for each, steps in zip(self._cached, shares, strict=True)
                if steps
            ]
            computed += size * sum(count.steps_computed for count in counts)
            cached += size * sum(count.steps_cached for count in counts)
            diffs += [_joined([count.residual_diffs for count in counts], shares)] * size
            seconds = {stage: seconds[stage] + made.seconds[stage] for stage in STAGES}
            first += size
        if fault is not None:
            raise corrupt(fault, tier)
        return values, EngineResult(
            images=(),
            steps_computed=computed,
            steps_cached=cached,
            residual_diffs=tuple(diffs),
            encode_s=seconds["encode"],
            denoise_s=seconds["denoise"],
            decode_s=seconds["decode"],
            notes=tuple(note for note in notes if note),
        )

    def _reset(self, job: Job, tier: Tier) -> tuple[tuple[int, ...], bool, str | None]:
        """Prepares the caches for one batch.

        Returns the steps that each transformer will do, whether each makes two calls, and a note
        where something is done otherwise than the tier's name suggests.
        """
        cache = self._spec.tiers[tier]
        by_default = self._cached[0].separate_cfg_by_default
        separate_cfg = self._calls.runs_cfg_apart(job, cache, by_default=by_default)
        mask, note = step_mask(cache, tier, job.steps)
        shares = shares_of_steps(self._pipeline, job.steps, len(self._cached))
        begin = 0
        for cached, steps in zip(self._cached, shares, strict=True):
            if steps:
                own = None if mask is None else [1, *mask[begin + 1 : begin + steps]]
                cached.reset(cache, tier, own, steps, separate_cfg=separate_cfg)
            begin += steps
        return shares, separate_cfg, note

    def _store(self, files: tuple[bytes, ...], job: Job) -> tuple[Stored, ...]:
        """Puts the files into the result store; a clip has the job's key, pictures count on it."""
        stored = []
        for index, file in enumerate(files):
            key = f"{job.store_as}_{index}" if job.num_frames is None else str(job.store_as)
            self._results.put(key, file)
            stored.append(Stored(key, len(file)))
        return tuple(stored)

    def _after_encoding(self) -> None:
        """The text encoders leave the device, where they are there for nothing else."""
        for hook in self._only_to_encode:
            hook.offload()


def _decode_one_by_one(pipeline: Any) -> None:
    """A batch is decoded picture by picture: with the memory, and to the bits, of a single one."""
    if hasattr(pipeline.vae, "use_slicing"):
        pipeline.vae.enable_slicing()


def _joined(diffs: list[Mapping[int, float]], shares: tuple[int, ...]) -> Mapping[int, float]:
    """The residual differences of all transformers, by the step of the whole schedule."""
    joined: dict[int, float] = {}
    begin = 0
    for steps, each in zip([share for share in shares if share], diffs, strict=True):
        joined |= {begin + step: diff for step, diff in each.items()}
        begin += steps
    return joined
