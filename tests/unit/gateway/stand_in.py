"""A stand-in for the calls to routers: it makes files at once, or does what a test says."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

from PIL import Image

from cluster.config import ClusterConfig
from cluster.cost import CostModel
from cluster.errors import DitServeError
from cluster.job import Job
from cluster.progress import Progress
from cluster.receipt import GenerateResult, Stored
from deployments.key_accounts import KeyAccounts
from deployments.metrics import RouterMetrics
from deployments.results import ResultStore
from deployments.router_calls import JobEvent, RouterCalls
from tests.unit.receipts import receipt

CLIP = b"\x00\x00\x00\x18ftypisom" + bytes(1000)
"""What begins as an MP4 file does."""


def picture(output_format: str = "png", colour: str = "red", side: int = 16) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, output_format)
    return file.getvalue()


class Routers(RouterCalls):
    """Its jobs, and what becomes of them.

    `refusal` meets a job at once, `failure` after its first step. While `open` is not set, a job
    stays at its first step; `left` counts those that their callers left there. `at_once` is the
    most that ever were at work under one id. `accounts` are those of a router, which lets in what
    the limits of a key allow.
    """

    def __init__(self, config: ClusterConfig, results: ResultStore) -> None:
        super().__init__({model.name: None for model in config.models}, config.max_attempts)
        self._results = results
        self.jobs: list[Job] = []
        self.refusal: DitServeError | None = None
        self.failure: Exception | None = None
        self.previews: tuple[bytes, ...] = ()
        self.answers: dict[str, dict[str, Any]] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.left = 0
        self.at_once = 0
        self._at_work: Counter[str] = Counter()
        model = config.models[0]
        self.accounts = KeyAccounts(model, CostModel(model), RouterMetrics(model))

    async def submit(self, job: Job) -> GenerateResult:
        async for event in self.follow(job):
            if isinstance(event, GenerateResult):
                return event
        raise AssertionError

    async def follow(self, job: Job, every_s: float = 0.1) -> AsyncGenerator[JobEvent, None]:
        self.jobs.append(job)
        if refusal := self.refusal or self.accounts.refusal(job):
            raise refusal
        self.accounts.take(job)
        self._at_work[job.request_id] += 1
        self.at_once = max(self.at_once, self._at_work[job.request_id])
        try:
            async for event in self._work(job):
                yield event
        finally:
            self._at_work[job.request_id] -= 1
            self.accounts.ended(job)

    async def reserve(self, job: Job) -> None:
        if refusal := self.accounts.reserve(job):
            raise refusal

    async def release(self, job: Job) -> None:
        self.accounts.ended(job)

    async def _work(self, job: Job) -> AsyncGenerator[JobEvent, None]:
        steps = job.n * job.steps
        yield Progress("queued", 0, steps)
        yield Progress("running", 1, steps)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        for preview in self.previews[: job.partial_images]:
            yield preview
        if self.failure is not None:
            raise self.failure
        yield await asyncio.to_thread(self.result_of, job)

    async def ask_all(self, method: str) -> dict[str, Any]:
        return self.answers.get(method, {})

    def result_of(self, job: Job) -> GenerateResult:
        """The files of a job, stored or not, and its receipt."""
        told = receipt(
            request_id=job.request_id,
            model=job.model,
            seed=job.seed,
            n=job.n,
            width=job.width,
            height=job.height,
            num_inference_steps=job.num_inference_steps,
        )
        if job.output_format == "mp4":
            files = {job.store_as: CLIP}
        else:
            drawn = picture(job.output_format)
            files = {f"{job.store_as}_{index}": drawn for index in range(job.n)}
        if job.store_as is None:
            return GenerateResult(tuple(files.values()), told, job.output_format)
        for key, file in files.items():
            self._results.put(str(key), file)
        stored = tuple(Stored(str(key), len(file)) for key, file in files.items())
        return GenerateResult((), told, job.output_format, stored)
