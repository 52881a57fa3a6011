"""One rank of a replica: an engine in a process of its own, called by `RankGroup`."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

import ray

from cluster.errors import DitServeError
from cluster.job import Job
from cluster.tiers import Tier
from deployments.engine import (
    Engine,
    EngineResult,
    EngineSpec,
    Stopped,
    World,
    build_engine,
    open_store,
)


@dataclass(frozen=True)
class WasStopped:
    """The job was stopped at a step boundary, as told."""


RankAnswer = EngineResult | WasStopped | DitServeError


@ray.remote(concurrency_groups={"control": 1, "life": 1})
class RankWorker:
    """A Ray actor on the bundle of its rank.

    Its work has one thread, so that jobs follow each other; what is asked meanwhile has another.
    """

    def __init__(self, spec: EngineSpec, group: str, rank: int) -> None:
        """`group` is the name under which the rank's lines appear in logs."""
        self._spec = spec
        self._group = group
        self._rank = rank
        self._engine: Engine | None = None
        self._store: object = None
        self._steps_done = 0
        self._previews: list[bytes] = []
        self._to_stop = 0

    def __repr__(self) -> str:
        """What Ray puts before each line of this process in the logs."""
        return f"{self._group} rank {self._rank}"

    def open_store(self) -> tuple[str, int]:
        """Where the ranks are to meet: this node's address and a free port. Rank 0 only."""
        host = ray.util.get_node_ip_address()
        store = open_store(host)
        self._store = store
        return host, store.port

    def load(self, world: World) -> None:
        """Meets the other ranks and loads the pipeline.

        Raises:
            ConfigError: the pipeline cannot be loaded, or not be divided as the spec says.
        """
        started = time.perf_counter()
        self._engine = build_engine(self._spec, world, self._store)
        self._tell(f"loaded in {time.perf_counter() - started:.1f} s")

    def generate(self, run: int, job: Job, tier: Tier) -> RankAnswer:
        """This rank's part of a job; what may be expected to go wrong comes back as a value.

        `run` counts what the group was asked to do, from 1 on: the same job may come again.
        """
        assert self._engine is not None, "load comes first"
        self._steps_done, self._previews = 0, []

        def boundary(done: int, total: int) -> bool:
            self._steps_done = done
            return self._to_stop != run

        try:
            result = self._engine.generate(job, tier, boundary, self._previews.append)
        except Stopped:
            return WasStopped()
        except DitServeError as error:
            return error
        return result if self._rank == 0 else replace(result, images=(), residual_diffs=())

    def warm_up(self) -> None:
        """Runs a small job with the others."""
        assert self._engine is not None, "load comes first"
        started = time.perf_counter()
        self._engine.warm_up()
        self._tell(f"warmed up in {time.perf_counter() - started:.1f} s")

    def device_name(self) -> str:
        """The card or processor of this rank."""
        assert self._engine is not None, "load comes first"
        return self._engine.device_name()

    @ray.method(concurrency_group="control")
    def progress(self, previews_seen: int) -> tuple[int, list[bytes]]:
        """Step boundaries that this job has passed, and the previews beyond those seen."""
        return self._steps_done, self._previews[previews_seen:]

    @ray.method(concurrency_group="control")
    def stop(self, run: int) -> None:
        """Has the group stop that run at its next step boundary; rank 0 is the one that is told.

        The word may come when that is over and the next has begun, which it does not touch.
        """
        self._to_stop = run

    @ray.method(concurrency_group="life")
    def live(self) -> None:
        """Never returns: a call that fails when this process ends."""
        threading.Event().wait()

    def _tell(self, what: str) -> None:
        """A line for those who wait for the replica; Ray takes what a worker prints to the log."""
        print(f"rank {self._rank} of {self._spec.dims.world_size}: {what}", flush=True)
