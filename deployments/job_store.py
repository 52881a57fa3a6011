"""Video jobs in SQL: they outlive every process that works on them.

Many processes share a store. What becomes of a video is decided by `cluster.video_job`, in a
transaction that holds the video's row. Calls block, for a millisecond or so: callers use threads.
Times are Unix seconds and come as arguments; the processes' clocks agree to well within a lease.

Every method raises `JobStoreUnavailable` where the database does not answer. Whether a change was
made is not known then; each may be asked for again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, Concatenate, Literal, ParamSpec

from sqlalchemy import func, insert, select, tuple_
from sqlalchemy.exc import IntegrityError

from cluster import video_job
from cluster.errors import InvalidRequest
from cluster.video_job import (
    Transition,
    VideoError,
    VideoJob,
    VideoStatus,
    check_idempotency_key,
    check_same_request,
    is_video_id,
)
from deployments.database import Database
from deployments.job_queries import Videos, by_id, claimable, of, owned, same_request
from deployments.job_tables import (
    INPUTS,
    VIDEOS,
    locked,
    make_tables,
    remove,
    row_of,
    video_of,
    write,
)

logger = logging.getLogger("ray.serve")

Given = ParamSpec("Given")


class JobStore:
    """Opens no connection before its first use.

    Pickles, with the database's password in it if that is in the URL and not in a variable.
    """

    def __init__(self, database_url: str, *, keep_s: float) -> None:
        """A video expires `keep_s` seconds after its end, however it ended.

        Raises:
            ConfigError: the URL is none of SQLite or PostgreSQL, or the variable that `env:NAME`
                names is not set; later, at the first use, also for tables that a newer dit-serve
                made.
        """
        self._database = Database(database_url, make_tables)
        self._keep_s = keep_s

    def __repr__(self) -> str:
        return f"JobStore({self._database.name})"

    def add(self, video: VideoJob, input_reference: bytes | None = None) -> VideoJob:
        """Keeps a new video, or gives back the one that its request made before.

        That is the one with the same id or, of the same owner, with the same idempotency key.

        Raises:
            IdempotencyConflict: it came from another request.
            InvalidRequest: the key is too long, or cannot be printed.
        """
        if video.idempotency_key is not None:
            check_idempotency_key(video.idempotency_key)
        while True:
            try:
                with self._database.writing() as connection:
                    connection.execute(insert(VIDEOS).values(row_of(video)))
                    if input_reference is not None:
                        values = {"id": video.id, "input_reference": input_reference}
                        connection.execute(insert(INPUTS).values(values))
                return video
            except IntegrityError:
                earlier = self.earlier(video)
            if earlier is not None:
                return earlier

    def earlier(self, video: VideoJob) -> VideoJob | None:
        """The one that the request of a new video made before; None where it made none.

        Raises as `add` does.
        """
        if video.idempotency_key is not None:
            check_idempotency_key(video.idempotency_key)
        earlier = self._one(same_request(video))
        if earlier is not None:
            check_same_request(earlier, video)
        return earlier

    def get(self, video_id: str, owner: str | None) -> VideoJob | None:
        """A video of that owner, or whoever's it is if None; None where there is none."""
        return self._one(owned(video_id, owner)) if is_video_id(video_id) else None

    def input_reference(self, video_id: str) -> bytes | None:
        """The file that came with a video; it is kept until the video ends."""
        mine = select(INPUTS.c.input_reference).where(INPUTS.c.id == video_id)
        with self._database.reading() as connection:
            return connection.scalar(mine)

    def page(
        self, owner: str | None, *, after: str | None, limit: int, order: Literal["asc", "desc"]
    ) -> tuple[list[VideoJob], bool]:
        """At most `limit` of an owner's videos by the time they were made, and whether more follow.

        Of everybody's, where `owner` is None.

        Raises:
            InvalidRequest: `after` is the id of no video of the owner.
        """
        place, falling = (VIDEOS.c.created_at, VIDEOS.c.id), order == "desc"
        query = of(select(VIDEOS), owner).limit(limit + 1)
        query = query.order_by(*(column.desc() if falling else column.asc() for column in place))
        if after is not None:
            begin = self.get(after, owner)
            if begin is None:
                raise InvalidRequest("after: there is no such video", param="after")
            here, there = tuple_(*place), tuple_(begin.created_at, begin.id)
            query = query.where(here < there if falling else here > there)
        with self._database.reading() as connection:
            videos = [video_of(row) for row in connection.execute(query).mappings()]
        return videos[:limit], len(videos) > limit

    def claim(
        self,
        holder: str,
        now_s: float,
        *,
        lease_s: float,
        max_attempts: int,
        models: Collection[str] | None = None,
    ) -> VideoJob | None:
        """The oldest video that may be worked on, `holder`'s for `lease_s` and nobody else's.

        Those that were begun `max_attempts` times and have no end fail on the way. A holder's name
        is that of one process: no other has it, nor the same one after a restart. Where `models`
        are given, it is a video by one of them.
        """
        oldest = claimable(now_s).order_by(VIDEOS.c.created_at, VIDEOS.c.id).limit(1)
        if models is not None:
            oldest = oldest.where(VIDEOS.c.model.in_(models))
        with self._database.writing() as connection:
            while (video := locked(connection, oldest, skip_locked=True)) is not None:
                claimed = video_job.claim(
                    video,
                    holder,
                    now_s,
                    lease_s=lease_s,
                    max_attempts=max_attempts,
                    keep_s=self._keep_s,
                )
                write(connection, video, claimed.video)
                if claimed.granted:
                    return claimed.video
        return None

    def renew(
        self, video_id: str, holder: str, now_s: float, *, lease_s: float, progress: int
    ) -> bool:
        """Holds the video for `lease_s` from now on; `progress` is in percent.

        False where it is not the holder's any more: cancelled, deleted, or claimed by another.
        """
        return self._held(
            video_id, video_job.renew, holder, now_s, lease_s=lease_s, progress=progress
        )

    def release(self, video_id: str, holder: str) -> bool:
        """Hands the video back, as if it had not been claimed; False as for `renew`."""
        return self._held(video_id, video_job.release, holder)

    def complete(
        self,
        video_id: str,
        holder: str,
        now_s: float,
        *,
        receipt: Mapping[str, Any],
        result_bytes: int,
    ) -> bool:
        """Says that the video's result is stored; False as for `renew`."""
        return self._held(
            video_id,
            video_job.complete,
            holder,
            now_s,
            receipt=receipt,
            result_bytes=result_bytes,
            keep_s=self._keep_s,
        )

    def fail(self, video_id: str, holder: str, now_s: float, error: VideoError) -> bool:
        """Says that the video cannot be made; False as for `renew`."""
        return self._held(video_id, video_job.fail, holder, now_s, error=error, keep_s=self._keep_s)

    def cancel(self, video_id: str, owner: str | None, now_s: float) -> VideoJob | None:
        """Stops a video that has not ended, and gives it as it then is; None if there is none."""
        if not is_video_id(video_id):
            return None
        mine = owned(video_id, owner)
        change = self._change(mine, video_job.cancel, now_s, keep_s=self._keep_s)
        return None if change is None else change.video

    def delete(self, video_id: str, owner: str | None) -> VideoJob | None:
        """Forgets a video, and gives it as it was; None if there is none."""
        if not is_video_id(video_id):
            return None
        with self._database.writing() as connection:
            video = locked(connection, owned(video_id, owner))
            remove(connection, [video_id] if video is not None else [])
        return video

    def expired(self, now_s: float, *, limit: int = 1000) -> list[str]:
        """The ids of videos that expired, the first to do so first."""
        over = select(VIDEOS.c.id).where(VIDEOS.c.expires_at <= now_s)
        with self._database.reading() as connection:
            return list(connection.scalars(over.order_by(VIDEOS.c.expires_at).limit(limit)))

    def forget(self, video_ids: Collection[str]) -> None:
        """Removes videos, whoever's they are; ids of none are passed over."""
        with self._database.writing() as connection:
            remove(connection, video_ids)

    def counts(self) -> dict[VideoStatus, int]:
        """How many videos of each status there are, with zeros."""
        query = select(VIDEOS.c.status, func.count()).group_by(VIDEOS.c.status)
        with self._database.reading() as connection:
            found = {VideoStatus(status): count for status, count in connection.execute(query)}
        return {status: found.get(status, 0) for status in VideoStatus}

    def close(self) -> None:
        """Closes the connections; the next use opens new ones."""
        self._database.close()

    def _one(self, which: Videos) -> VideoJob | None:
        with self._database.reading() as connection:
            row = connection.execute(which).mappings().first()
        return None if row is None else video_of(row)

    def _held(
        self,
        video_id: str,
        transition: Callable[Concatenate[VideoJob, Given], Transition],
        *args: Given.args,
        **facts: Given.kwargs,
    ) -> bool:
        """Whether what a holder says of its video was granted."""
        change = self._change(by_id(video_id), transition, *args, **facts)
        if change is None or not change.granted:
            reason = "it was deleted" if change is None else change.reason
            logger.info("%s: no %s: %s", video_id, transition.__name__, reason)
            return False
        return True

    def _change(
        self,
        which: Videos,
        transition: Callable[Concatenate[VideoJob, Given], Transition],
        *args: Given.args,
        **facts: Given.kwargs,
    ) -> Transition | None:
        with self._database.writing() as connection:
            video = locked(connection, which)
            if video is None:
                return None
            change = transition(video, *args, **facts)
            write(connection, video, change.video)
        return change
