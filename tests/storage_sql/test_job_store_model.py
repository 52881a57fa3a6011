"""A store on SQLite beside a plain model of it, through all orders of calls that are found."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from cluster.errors import IdempotencyConflict
from cluster.video_job import VideoError, VideoStatus
from deployments.job_store import JobStore
from tests.storage_sql.videos import ATTEMPTS, LEASE_S, NOW_S, claim, video

KEEP_S = 100.0
OWNERS = st.sampled_from(["", "ann"])
HOLDERS = st.sampled_from(["gateway-1", "gateway-2"])


@dataclass
class Kept:
    """What the model knows of a video; the number says how old it is."""

    number: int
    owner: str
    key: str | None
    digest: str
    status: str = "queued"
    progress: int = 0
    attempts: int = 0
    holder: str | None = None
    until_s: float = 0.0
    ended_s: float | None = None

    @property
    def id(self) -> str:
        return video(self.number).id

    @property
    def finished(self) -> bool:
        return self.ended_s is not None

    def end(self, status: str, now_s: float) -> None:
        self.status, self.ended_s = status, now_s

    def is_with(self, holder: str) -> bool:
        return self.status == "in_progress" and self.holder == holder


class Beside(RuleBasedStateMachine):
    """Every rule does the same to both; the invariants compare what can be seen."""

    videos: Bundle[str] = Bundle("videos")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="dit-jobs-"))
        self.store = JobStore(f"sqlite:///{self.folder}/jobs.db", keep_s=KEEP_S)
        self.kept: dict[str, Kept] = {}
        self.made = 0
        self.now_s = NOW_S

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(
        target=videos,
        owner=OWNERS,
        key=st.sampled_from([None, "k", "l"]),
        digest=st.sampled_from(["x", "y"]),
        picture=st.sampled_from([None, b"picture"]),
    )
    def add(self, owner: str, key: str | None, digest: str, picture: bytes | None) -> str:
        self.made += 1
        new = Kept(self.made, owner, key, digest)
        same = [
            each
            for each in self.kept.values()
            if key is not None and (each.owner, each.key) == (owner, key)
        ]
        wanted = video(self.made, owner=owner, idempotency_key=key, request_digest=digest)
        expected = (same or [new])[0]
        try:
            assert self.store.add(wanted, picture).id == expected.id
            assert expected.digest == digest
        except IdempotencyConflict:
            assert expected.digest != digest
        if not same:
            self.kept[new.id] = new
        return expected.id

    @rule(seconds=st.sampled_from([1.0, LEASE_S / 2, LEASE_S, KEEP_S]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(holder=HOLDERS)
    def claim(self, holder: str) -> None:
        expected = None
        for each in sorted(self.kept.values(), key=lambda kept: kept.number):
            lapsed = each.status == "in_progress" and each.until_s <= self.now_s
            if expected is None and (each.status == "queued" or lapsed):
                if each.attempts == ATTEMPTS:
                    each.end("failed", self.now_s)
                else:
                    expected = each
        found = claim(self.store, holder, self.now_s)
        assert (found and found.id) == (expected and expected.id)
        if expected is not None:
            expected.status, expected.holder = "in_progress", holder
            expected.until_s = self.now_s + LEASE_S
            expected.attempts += 1

    @rule(video_id=videos, holder=HOLDERS, progress=st.integers(0, 100))
    def renew(self, video_id: str, holder: str, progress: int) -> None:
        kept = self.held(video_id, holder)
        told = self.store.renew(video_id, holder, self.now_s, lease_s=LEASE_S, progress=progress)
        assert told is (kept is not None)
        if kept is not None:
            kept.until_s = self.now_s + LEASE_S
            kept.progress = max(kept.progress, min(progress, 99))

    @rule(video_id=videos, holder=HOLDERS)
    def release(self, video_id: str, holder: str) -> None:
        kept = self.held(video_id, holder)
        assert self.store.release(video_id, holder) is (kept is not None)
        if kept is not None:
            kept.status, kept.holder = "queued", None
            kept.attempts -= 1

    @rule(video_id=videos, holder=HOLDERS)
    def complete(self, video_id: str, holder: str) -> None:
        kept = self.held(video_id, holder)
        before = self.kept.get(video_id)
        again = before is not None and (before.status, before.holder) == ("completed", holder)
        told = self.store.complete(video_id, holder, self.now_s, receipt={}, result_bytes=1)
        assert told is (kept is not None or again)
        if kept is not None:
            kept.end("completed", self.now_s)
            kept.progress = 100

    @rule(video_id=videos, holder=HOLDERS)
    def fail(self, video_id: str, holder: str) -> None:
        kept = self.held(video_id, holder)
        told = self.store.fail(video_id, holder, self.now_s, VideoError("engine_failed", "no"))
        assert told is (kept is not None)
        if kept is not None:
            kept.end("failed", self.now_s)

    @rule(video_id=videos, owner=OWNERS)
    def cancel(self, video_id: str, owner: str) -> None:
        kept = self.owned(video_id, owner)
        found = self.store.cancel(video_id, owner, self.now_s)
        assert (found is None) is (kept is None)
        if kept is not None and not kept.finished:
            kept.end("cancelled", self.now_s)

    @rule(video_id=videos, owner=OWNERS)
    def delete(self, video_id: str, owner: str) -> None:
        kept = self.owned(video_id, owner)
        assert (self.store.delete(video_id, owner) is None) is (kept is None)
        if kept is not None:
            del self.kept[video_id]

    @rule()
    def forget_what_expired(self) -> None:
        expired = self.store.expired(self.now_s)
        over = [
            each.id
            for each in self.kept.values()
            if each.ended_s is not None and each.ended_s + KEEP_S <= self.now_s
        ]
        assert sorted(expired) == sorted(over)
        self.store.forget(expired)
        for video_id in expired:
            del self.kept[video_id]

    @invariant()
    def every_owner_sees_its_videos_as_the_model_has_them(self) -> None:
        for owner in ("", "ann"):
            seen = self.store.page(owner, after=None, limit=100, order="asc")[0]
            mine = [each for each in self.kept.values() if each.owner == owner]
            assert [shown(each) for each in seen] == [
                (each.id, each.status, each.progress, each.attempts, each.ended_s, each.holder)
                for each in sorted(mine, key=lambda kept: kept.number)
            ]

    @invariant()
    def the_counts_add_up(self) -> None:
        statuses = [each.status for each in self.kept.values()]
        assert self.store.counts() == {each: statuses.count(each) for each in VideoStatus}

    @invariant()
    def no_file_is_kept_of_a_video_that_ended(self) -> None:
        for each in self.kept.values():
            assert not each.finished or self.store.input_reference(each.id) is None

    def held(self, video_id: str, holder: str) -> Kept | None:
        kept = self.kept.get(video_id)
        return kept if kept is not None and kept.is_with(holder) else None

    def owned(self, video_id: str, owner: str) -> Kept | None:
        kept = self.kept.get(video_id)
        return kept if kept is not None and kept.owner == owner else None


def shown(video: Any) -> tuple[Any, ...]:
    """The facts of a video that the model knows too."""
    return (
        video.id,
        video.status,
        video.progress,
        video.attempts,
        video.completed_at,
        video.lease_holder,
    )


Beside.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestAStoreDoesWhatItsModelDoes = Beside.TestCase
