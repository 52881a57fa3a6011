"""A caller's request as a job of its own id."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace

from cluster.access import WITHOUT_KEYS, Caller
from cluster.config import ClusterConfig
from cluster.job import Job
from cluster.request import GenerateRequest
from cluster.settling import settle
from deployments.shelves import IMAGES, Shelf
from deployments.uploads import picture_size

SEED_BELOW = 2**31
"""Of seeds that nobody chose: short enough to type."""


async def settled(
    request: GenerateRequest,
    config: ClusterConfig,
    shelf: Shelf = IMAGES,
    picture_field: str = "images",
    caller: Caller = WITHOUT_KEYS,
) -> Job:
    """The job of a request, with an id that cannot be guessed and a seed if it has none.

    With `response_format` "url" its results go to the shelf. `picture_field` is how the caller
    names the pictures to begin from, `caller` is who asked.

    Raises:
        DitServeError: a value is wrong, or a picture cannot be read.
    """
    size = None
    if request.images:
        size = await asyncio.to_thread(picture_size, request.images[0], picture_field)
    seed = secrets.randbelow(SEED_BELOW)
    _, job = settle(request, config, shelf.new_job_id(), seed, size, picture_field)
    if request.response_format == "url":
        job = replace(job, store_as=shelf.key(shelf.name(job.request_id, caller.key_id)))
    return replace(job, key_id=caller.key_id, limits=caller.limits)
