"""Which video jobs are meant: by id, owner, request, or that somebody may claim them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, and_, or_, select

from cluster.video_job import VideoJob, VideoStatus
from deployments.job_tables import VIDEOS

Videos = Select[Any]


def by_id(video_id: str) -> Videos:
    return select(VIDEOS).where(VIDEOS.c.id == video_id)


def owned(video_id: str, owner: str | None) -> Videos:
    """A video by its id, if it is of that owner, or whoever's it is if None."""
    return of(by_id(video_id), owner)


def of(videos: Videos, owner: str | None) -> Videos:
    """Those of one owner among them; all, where nobody is named."""
    return videos if owner is None else videos.where(VIDEOS.c.owner == owner)


def same_request(video: VideoJob) -> Videos:
    """With the same id or, of the same owner, the same idempotency key."""
    if video.idempotency_key is None:
        return by_id(video.id)
    key = VIDEOS.c.idempotency_key == video.idempotency_key
    mine = and_(VIDEOS.c.owner == video.owner, key)
    return select(VIDEOS).where(or_(VIDEOS.c.id == video.id, mine))


def claimable(now_s: float) -> Videos:
    """Those that nobody works on, or whose holder's lease has lapsed."""
    status = VIDEOS.c.status
    lapsed = and_(status == VideoStatus.IN_PROGRESS.value, VIDEOS.c.lease_until <= now_s)
    return select(VIDEOS).where(or_(status == VideoStatus.QUEUED.value, lapsed))
