"""The ranks of a replica as one engine: they start together, work together, and end together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group_table
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from cluster.errors import DitServeError, EngineFailed, OutputCorrupt
from cluster.job import Job
from cluster.tiers import Tier
from deployments.engine import (
    DeviceMemory,
    EngineResult,
    EngineSpec,
    Preview,
    StepBoundary,
    Stopped,
    World,
    no_preview,
)
from deployments.rank import RankAnswer, RankWorker, WasStopped
from placement.bundles import GroupPlan
from placement.layout import assign_ranks

LOOK_S = 0.1
"""How often the group looks at rank 0's progress, and learns that it is to stop."""

IN_STEP_S = 1.0
"""After the engine of one rank failed: how long the others have to come to an end as well.

Ranks meet in every layer, so they fail together or wait for the one that did.
"""


class RankGroup:
    """An `Engine` of N ranks. Call it from one thread that belongs to no request.

    `broken(reason)` is called, from any thread, when a rank has died or the ranks are out of step:
    nothing can be done with the group any more.
    """

    def __init__(
        self,
        name: str,
        spec: EngineSpec,
        group: PlacementGroup,
        plan: GroupPlan,
        broken: Callable[[str], Any],
    ) -> None:
        """Starts the ranks on the bundles of a placement group, side by side; all or none.

        Raises:
            ConfigError: the engine's own, of the first rank that fails.
            PlacementError: the bundles lie so that the ranks cannot be put on them.
        """
        self._broken = broken
        self._runs = 0
        nodes = placement_group_table(group)["bundles_to_node_id"]
        on = assign_ranks([nodes[index] for index in plan.rank_bundles], spec.dims)
        self._ranks = [
            _started(name, spec, rank, group, plan, plan.rank_bundles[bundle])
            for rank, bundle in enumerate(on)
        ]
        threading.Thread(target=self._watch_over, name="ranks", daemon=True).start()
        host, port = ray.get(self._ranks[0].open_store.remote())
        size = len(self._ranks)
        worlds = [World(rank, size, host, port) for rank in range(size)]
        _all_do([rank.load.remote(world) for rank, world in zip(self._ranks, worlds, strict=True)])

    def warm_up(self) -> None:
        _all_do([rank.warm_up.remote() for rank in self._ranks])

    def generate(
        self, job: Job, tier: Tier, boundary: StepBoundary, preview: Preview = no_preview
    ) -> EngineResult:
        self._runs += 1
        shared = ray.put(job)
        calls = [rank.generate.remote(self._runs, shared, tier) for rank in self._ranks]
        answers = self._answers(calls, job, boundary, preview)
        if out_of_step(answers):
            self._give_up(answers)
        for answer in answers:
            if isinstance(answer, DitServeError):
                raise answer
            if isinstance(answer, WasStopped):
                raise Stopped
        return replace(cast(EngineResult, answers[0]), memory=most_memory(answers))

    def device_name(self) -> str:
        return str(ray.get(self._ranks[0].device_name.remote()))

    def _answers(
        self,
        calls: Sequence[ray.ObjectRef[RankAnswer]],
        job: Job,
        boundary: StepBoundary,
        preview: Preview,
    ) -> list[RankAnswer]:
        """What every rank answers, in the order of the ranks.

        Meanwhile `boundary` is asked, with rank 0's progress, and its no passed on to rank 0;
        `preview` gets what rank 0 shows. A rank whose engine fails alone leaves the others waiting
        for it, which is the end of the group. What is wrong with the request itself they all find,
        each in its time.
        """
        total = job.n * job.steps
        answers: dict[int, RankAnswer] = {}
        seen = 0
        progress = self._ranks[0].progress.remote(seen)
        failed_s: float | None = None
        while len(answers) < len(calls):
            waiting = {call: rank for rank, call in enumerate(calls) if rank not in answers}
            ready, _ = ray.wait(list(waiting), timeout=LOOK_S)
            for call in ready:
                answers[waiting[call]] = answer = _answer_of(call)
                if isinstance(answer, EngineFailed) and failed_s is None:
                    failed_s = time.monotonic()
            if failed_s is not None and time.monotonic() - failed_s > IN_STEP_S:
                self._give_up(list(answers.values()))
            if not ready and ray.wait([progress], timeout=0)[0]:
                done, previews = ray.get(progress)
                for file in previews:
                    preview(file)
                seen += len(previews)
                if not boundary(done, total):
                    self._ranks[0].stop.remote(self._runs)
                progress = self._ranks[0].progress.remote(seen)
        return [answers[rank] for rank in range(len(calls))]

    def _watch_over(self) -> None:
        """Learns at once that a rank's process has ended, at work or idle."""
        lives = {rank.live.remote(): number for number, rank in enumerate(self._ranks)}
        (ended, *_), _ = ray.wait(list(lives), num_returns=1)
        self._broken(f"rank {lives[ended]} of {len(self._ranks)} has died")

    def _give_up(self, answers: Sequence[RankAnswer]) -> None:
        errors = [str(answer) for answer in answers if isinstance(answer, EngineFailed)]
        reason = f"{len(errors)} of {len(self._ranks)} ranks failed, the others not: {errors[0]}"
        self._broken(reason)
        raise EngineFailed(reason)


def out_of_step(answers: Sequence[RankAnswer]) -> bool:
    """Whether a rank failed and rank 0 did not: then the group is at two places at once.

    Rank 0 does not wait for the others when it tells them to go on or to stop, so it can come to an
    end without one that failed in the last step; what it made may be corrupt. The other way round
    they are at one place: rank 0 alone decodes, after the last step.
    """
    first, *others = answers
    came_to_an_end = not isinstance(first, DitServeError) or isinstance(first, OutputCorrupt)
    return came_to_an_end and any(isinstance(answer, EngineFailed) for answer in others)


def most_memory(answers: Sequence[RankAnswer]) -> DeviceMemory | None:
    """That of the rank with the most; None where no rank told."""
    told = [each.memory for each in answers if isinstance(each, EngineResult) and each.memory]
    return max(told, key=lambda each: each.used, default=None)


def _all_do(calls: Sequence[ray.ObjectRef[None]]) -> None:
    """Waits for all ranks; the first failure is raised at once."""
    waiting = list(calls)
    while waiting:
        (done,), waiting = ray.wait(waiting, num_returns=1)
        try:
            ray.get(done)
        except RayTaskError as error:
            raise error.cause from None


def _started(
    name: str, spec: EngineSpec, rank: int, group: PlacementGroup, plan: GroupPlan, bundle: int
) -> Any:
    """The actor of a rank, on its bundle and with all that the bundle has."""
    resources = plan.bundles[bundle]
    return (
        cast(Any, RankWorker)
        .options(
            num_cpus=resources["CPU"],
            num_gpus=resources.get("GPU", 0),
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, bundle),
        )
        .remote(spec, name, rank)
    )


def _answer_of(call: ray.ObjectRef[RankAnswer]) -> RankAnswer:
    try:
        return ray.get(call)
    except RayError as error:
        cause = getattr(error, "cause", None) or error
        return EngineFailed(f"a rank failed on this request: {type(cause).__name__}: {cause}")
