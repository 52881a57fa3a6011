"""A video as a durable job: its states, and what may become of it, with the reason.

Who works on a video holds it by a lease. While the lease runs nobody else takes it; when it lapses,
because the holder died or hangs, the next who asks may, up to `max_attempts` times in all. A holder
that lost its lease cannot finish the video any more: so it has one result, however many worked.

Pure: times enter as arguments, in Unix seconds. `deployments/job_store.py` keeps the videos.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from cluster.errors import IdempotencyConflict, InvalidRequest

IDEMPOTENCY_KEY_MAX_CHARS = 255
"""More than any random key needs, and less than an index of PostgreSQL takes."""

_VIDEO_ID = re.compile(r"video_[0-9a-f]{1,64}")


class VideoStatus(StrEnum):
    """OpenAI's words, and `cancelled`."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """Whether nothing more becomes of it."""
        return self not in (VideoStatus.QUEUED, VideoStatus.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class VideoError:
    """Why a video failed: a word for programs, a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """A video that was asked for. Times are Unix seconds; `seconds` is the clip's length as text.

    `owner` is the id of the key that asked, empty where there are no keys; `job` is what to do, as
    JSON has it. `attempts` counts the claims whose work was not handed back; `lease_holder` is who
    works on it, or did when it ended. `completed_at` is when it ended, in whatever way; from
    `expires_at` on neither it nor its result need be there.
    """

    id: str
    owner: str
    job: Mapping[str, Any]
    prompt: str
    model: str
    size: str
    seconds: str
    created_at: float
    request_digest: str
    idempotency_key: str | None = None
    status: VideoStatus = VideoStatus.QUEUED
    progress: int = 0
    attempts: int = 0
    lease_holder: str | None = None
    lease_until: float | None = None
    completed_at: float | None = None
    expires_at: float | None = None
    error: VideoError | None = None
    receipt: Mapping[str, Any] | None = None
    result_bytes: int | None = None

    def expired(self, now_s: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now_s


@dataclass(frozen=True, slots=True)
class Transition:
    """What becomes of a video, whether that is what was asked for, and why."""

    video: VideoJob
    granted: bool
    reason: str


def claim(
    video: VideoJob,
    holder: str,
    now_s: float,
    *,
    lease_s: float,
    max_attempts: int,
    keep_s: float,
) -> Transition:
    """A video that waits, or whose lease lapsed, is the claimant's for `lease_s` seconds.

    One that was claimed `max_attempts` times and has no end yet fails instead.
    """
    if video.status.finished:
        return _refused(video, f"it is {video.status}")
    if video.lease_until is not None and video.lease_until > now_s:
        left_s = video.lease_until - now_s
        return _refused(video, f"{video.lease_holder} holds it for another {left_s:.1f} s")
    if video.attempts >= max_attempts:
        times = "once" if max_attempts == 1 else f"{max_attempts} times"
        message = (
            f"this video was begun {times} and its work never came to an end: "
            "what ran it died or hung; it is not tried again"
        )
        error = VideoError("too_many_attempts", message)
        ended = _ended(video, VideoStatus.FAILED, now_s, keep_s, error=error)
        return Transition(ended, False, message)
    reason = "it waits" if video.lease_holder is None else f"{video.lease_holder}'s lease lapsed"
    claimed = replace(
        video,
        status=VideoStatus.IN_PROGRESS,
        attempts=video.attempts + 1,
        lease_holder=holder,
        lease_until=now_s + lease_s,
    )
    return Transition(claimed, True, reason)


def renew(
    video: VideoJob, holder: str, now_s: float, *, lease_s: float, progress: int
) -> Transition:
    """The holder's lease runs for `lease_s` from now; `progress` in percent never falls."""
    if lost := _lost(video, holder):
        return _refused(video, lost)
    percent = max(video.progress, min(progress, 99))
    renewed = replace(video, lease_until=now_s + lease_s, progress=percent)
    return Transition(renewed, True, f"{holder} works on it")


def release(video: VideoJob, holder: str) -> Transition:
    """The holder hands it back unfinished: it waits again, in its old place.

    That was no attempt.
    """
    if lost := _lost(video, holder):
        return _refused(video, lost)
    waits = replace(
        video,
        status=VideoStatus.QUEUED,
        attempts=video.attempts - 1,
        lease_holder=None,
        lease_until=None,
    )
    return Transition(waits, True, f"{holder} handed it back")


def complete(
    video: VideoJob,
    holder: str,
    now_s: float,
    *,
    receipt: Mapping[str, Any],
    result_bytes: int,
    keep_s: float,
) -> Transition:
    """The holder has stored the result, of `result_bytes`, which is kept for `keep_s` seconds.

    To say so again is granted too, and changes nothing.
    """
    if video.status is VideoStatus.COMPLETED and video.lease_holder == holder:
        return Transition(video, True, f"{holder} has said so before")
    if lost := _lost(video, holder):
        return _refused(video, lost)
    ended = _ended(video, VideoStatus.COMPLETED, now_s, keep_s)
    done = replace(ended, progress=100, receipt=receipt, result_bytes=result_bytes)
    return Transition(done, True, f"{holder} has its result")


def fail(
    video: VideoJob, holder: str, now_s: float, *, error: VideoError, keep_s: float
) -> Transition:
    """The holder gives it up for good; what it says is kept for `keep_s` seconds."""
    if lost := _lost(video, holder):
        return _refused(video, lost)
    ended = _ended(video, VideoStatus.FAILED, now_s, keep_s, error=error)
    return Transition(ended, True, error.message)


def cancel(video: VideoJob, now_s: float, *, keep_s: float) -> Transition:
    """Stops a video that has not ended; its holder learns it when it renews."""
    if video.status.finished:
        return _refused(video, f"it is {video.status}")
    ended = _ended(video, VideoStatus.CANCELLED, now_s, keep_s)
    return Transition(ended, True, "its caller cancelled it")


def percent_done(steps_done: int, steps: int) -> int:
    """Progress in percent: whole, and at most 99, since 100 is for a result that is there."""
    return min(99, 100 * steps_done // steps)


def is_video_id(text: str) -> bool:
    """Whether a text can be the id of a video, so that a database need be asked for it."""
    return _VIDEO_ID.fullmatch(text) is not None


def check_idempotency_key(key: str) -> None:
    """Raises `InvalidRequest` for a key that a database may not take."""
    if not key.isprintable() or not 1 <= len(key) <= IDEMPOTENCY_KEY_MAX_CHARS:
        raise InvalidRequest(
            f"Idempotency-Key: 1 to {IDEMPOTENCY_KEY_MAX_CHARS} characters that can be printed",
            param="Idempotency-Key",
        )


def check_same_request(earlier: VideoJob, video: VideoJob) -> None:
    """Raises `IdempotencyConflict` for two requests that differ and have one idempotency key."""
    if earlier.request_digest != video.request_digest:
        raise IdempotencyConflict(
            f"Idempotency-Key: another request made {earlier.id} with this key; "
            "give every request a key of its own",
            param="Idempotency-Key",
        )


def request_digest(request: Mapping[str, Any], input_reference: bytes | None) -> str:
    """SHA-256 in hex of a request as it was sent; the order of its fields does not matter."""
    fields = json.dumps(request, sort_keys=True, separators=(",", ":")).encode()
    picture = b"" if input_reference is None else hashlib.sha256(input_reference).digest()
    return hashlib.sha256(hashlib.sha256(fields).digest() + picture).hexdigest()


def _lost(video: VideoJob, holder: str) -> str:
    """Why it is not the holder's any more; empty while it is.

    A lease that lapsed without another claim is still the holder's.
    """
    if video.status.finished:
        return f"it is {video.status}"
    if video.lease_holder is None:
        return "it waits, and nobody holds it"
    return "" if video.lease_holder == holder else f"{video.lease_holder} holds it"


def _ended(
    video: VideoJob,
    status: VideoStatus,
    now_s: float,
    keep_s: float,
    error: VideoError | None = None,
) -> VideoJob:
    return replace(
        video,
        status=status,
        error=error,
        lease_until=None,
        completed_at=now_s,
        expires_at=now_s + keep_s,
    )


def _refused(video: VideoJob, reason: str) -> Transition:
    return Transition(video, False, reason)
