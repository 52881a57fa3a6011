"""The jobs that run on a replica, and those that a router left there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from ray.exceptions import RpcError

from deployments.actor_info import actor_info
from deployments.engine import EngineResult
from deployments.job_progress import JobProgress
from deployments.pulse import Pulse

logger = logging.getLogger("ray.serve")


@dataclass(frozen=True, order=True)
class Epoch:
    """One life of a router: when it began, in ns, and the id of its Ray actor in hex."""

    began_ns: int = 0
    router: str = ""


@dataclass
class Running:
    """A job under way; its spans go under the one of whoever asked for it last."""

    pulse: Pulse
    progress: JobProgress
    result: asyncio.Future[EngineResult]
    epoch: Epoch
    traceparent: str | None = None


async def stop_what_was_left(jobs: Mapping[str, Running], epoch: Epoch, besides: str) -> None:
    """Stops the jobs of earlier epochs whose routers have ended, but for the one called `besides`.

    A router that is being replaced still lives, and ends its queue beside the new one.
    """
    for request_id, other in list(jobs.items()):
        if (
            other.epoch < epoch
            and request_id != besides
            and await has_ended(other.epoch)
            and other.epoch < epoch
        ):
            other.pulse.stop()


async def has_ended(epoch: Epoch) -> bool:
    """Whether that router counts as dead; one of whom nobody can say so does not.

    The process of one that does can live on for a while, with a node that does not answer.
    """
    try:
        router = await actor_info(epoch.router)
    except RpcError as error:
        logger.warning("nobody says whether the router %s lives: %s", epoch.router, error)
        return False
    return bool(router.state == router.DEAD)
