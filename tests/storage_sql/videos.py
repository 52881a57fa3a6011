"""Videos to be kept, and the words in which tests speak of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cluster.video_job import VideoJob
from deployments.job_store import JobStore

NOW_S = 1_700_000_000.25
KEEP_S = 86_400.0
LEASE_S = 30.0
ATTEMPTS = 3


def video(number: int = 1, **facts: Any) -> VideoJob:
    """The `number`-th video that was asked for, a second after the one before."""
    name = f"video_{number:032x}"
    plain = VideoJob(
        id=name,
        owner="",
        job={"id": name, "num_frames": 17, "fps": 16.0, "image": None},
        prompt="a red circle moves to the right",
        model="shapes-video",
        size="128x128",
        seconds="2",
        created_at=NOW_S + number,
        request_digest=f"digest-{number}",
    )
    return replace(plain, **facts)


def claim(
    store: JobStore, holder: str = "gateway-1", now_s: float = NOW_S, **facts: Any
) -> VideoJob | None:
    return store.claim(holder, now_s, **({"lease_s": LEASE_S, "max_attempts": ATTEMPTS} | facts))


def claimed(store: JobStore, holder: str = "gateway-1", now_s: float = NOW_S) -> VideoJob:
    """A video that is claimed for sure."""
    found = claim(store, holder, now_s)
    assert found is not None
    return found
