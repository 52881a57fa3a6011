"""OpenAI's shapes of videos: what is asked for and what is answered. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cluster.video_job import VideoJob


def video_response(video: VideoJob) -> dict[str, Any]:
    """A video as `POST /v1/videos` and `GET /v1/videos/{id}` answer it. Times are whole seconds."""
    return {
        "id": video.id,
        "object": "video",
        "model": video.model,
        "prompt": video.prompt,
        "status": video.status.value,
        "progress": video.progress,
        "created_at": int(video.created_at),
        "completed_at": _whole(video.completed_at),
        "expires_at": _whole(video.expires_at),
        "seconds": video.seconds,
        "size": video.size,
        "error": None if video.error is None else asdict(video.error),
        "remixed_from_video_id": None,
        "receipt": video.receipt,
    }


def page_response(videos: Sequence[VideoJob], has_more: bool) -> dict[str, Any]:
    """A page of `GET /v1/videos`."""
    return {
        "object": "list",
        "data": [video_response(video) for video in videos],
        "first_id": videos[0].id if videos else None,
        "last_id": videos[-1].id if videos else None,
        "has_more": has_more,
    }


def deleted_response(video_id: str) -> dict[str, Any]:
    """What `DELETE /v1/videos/{id}` answers."""
    return {"id": video_id, "object": "video.deleted", "deleted": True}


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
