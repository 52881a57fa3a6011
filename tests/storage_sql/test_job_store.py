"""What a store of video jobs promises to one caller after another, on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from cluster.errors import IdempotencyConflict, InvalidRequest
from cluster.video_job import VideoError, VideoJob, VideoStatus
from deployments.job_store import JobStore
from tests.storage_sql.videos import ATTEMPTS, KEEP_S, LEASE_S, NOW_S, claim, claimed, video

ERROR = VideoError("engine_failed", "out of memory")
RECEIPT = {"seed": 7, "denoise_s": 1.25, "deadline_met": None, "notes": ["é"]}


def complete(store: JobStore, video_id: str, holder: str = "gateway-1") -> bool:
    return store.complete(video_id, holder, NOW_S, receipt=RECEIPT, result_bytes=2**33)


def held(store: JobStore, video: VideoJob) -> VideoJob:
    """The video as it is now, which is there for sure."""
    found = store.get(video.id, video.owner)
    assert found is not None
    return found


def test_a_video_is_found_as_it_was_added(store: JobStore, database_url: str) -> None:
    added = store.add(video(prompt="NUL \0, half a pair \ud800, é", job={"text": "\0\ud800"}))
    other = JobStore(database_url, keep_s=KEEP_S)
    assert other.get(added.id, "") == added == video(prompt=added.prompt, job=added.job)
    other.close()


def test_a_video_is_there_for_its_owner_only(store: JobStore) -> None:
    mine = store.add(video(owner="ann"))
    assert store.get(mine.id, "ann") == mine
    for owner in ("bob", ""):
        assert store.get(mine.id, owner) is None
        assert store.cancel(mine.id, owner, NOW_S) is None
        assert store.delete(mine.id, owner) is None
        assert store.page(owner, after=None, limit=5, order="asc") == ([], False)
    assert store.get(mine.id, "ann") == mine


@pytest.mark.parametrize("unknown", ["video_0", "video_\0", "\ud800", "", "x" * 5000])
def test_what_is_no_video_is_not_found(store: JobStore, unknown: str) -> None:
    assert store.get(unknown, "") is None
    assert store.cancel(unknown, "", NOW_S) is None
    assert store.delete(unknown, "") is None
    with pytest.raises(InvalidRequest) as refused:
        store.page("", after=unknown, limit=5, order="asc")
    assert refused.value.param == "after"


def test_the_same_key_and_request_give_the_first_video_back(store: JobStore) -> None:
    first = store.add(video(1, idempotency_key="k", request_digest="same"), b"picture")
    claimed(store)
    again = store.add(video(2, idempotency_key="k", request_digest="same"), b"picture")
    assert again == held(store, first)
    assert again.status is VideoStatus.IN_PROGRESS
    assert store.get(video(2).id, "") is None
    assert store.input_reference(video(2).id) is None


def test_the_same_key_with_another_request_is_a_conflict(store: JobStore) -> None:
    first = store.add(video(1, idempotency_key="k"))
    with pytest.raises(IdempotencyConflict) as refused:
        store.add(video(2, idempotency_key="k"))
    assert (refused.value.http_status, refused.value.param) == (409, "Idempotency-Key")
    assert first.id in refused.value.message


def test_keys_of_two_owners_and_videos_without_a_key_have_nothing_to_do_with_each_other(
    store: JobStore,
) -> None:
    added = [
        store.add(video(1, owner="ann", idempotency_key="k")),
        store.add(video(2, owner="bob", idempotency_key="k")),
        store.add(video(3, owner="ann")),
        store.add(video(4, owner="ann")),
    ]
    assert len({each.id for each in added}) == 4


def test_a_key_is_free_again_when_its_video_is_deleted(store: JobStore) -> None:
    store.add(video(1, idempotency_key="k"))
    store.delete(video(1).id, "")
    assert store.add(video(2, idempotency_key="k")).id == video(2).id


def test_a_key_that_cannot_be_kept_is_refused(store: JobStore) -> None:
    longest = "é" * 255
    assert store.add(video(idempotency_key=longest)).idempotency_key == longest
    with pytest.raises(InvalidRequest):
        store.add(video(2, idempotency_key=longest + "é"))


def test_a_video_that_is_added_twice_is_there_once(store: JobStore) -> None:
    store.add(video(1))
    assert store.add(video(2)) == store.add(video(2)) == video(2)
    assert store.counts()[VideoStatus.QUEUED] == 2


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_have_every_video_once_in_order(
    store: JobStore, order: Literal["asc", "desc"]
) -> None:
    at_once = [video(number, created_at=NOW_S) for number in (3, 1, 2)]
    later = [video(number) for number in (4, 5)]
    for each in [*later, *at_once]:
        store.add(each)
    expected = [video(number).id for number in range(1, 6)]
    seen: list[str] = []
    more, after = True, None
    while more:
        videos, more = store.page("", after=after, limit=2, order=order)
        seen += [each.id for each in videos]
        after = seen[-1]
    assert seen == (expected if order == "asc" else expected[::-1])
    assert store.page("", after=None, limit=5, order=order)[1] is False


def test_the_oldest_is_claimed_first_and_its_claim_counts(store: JobStore) -> None:
    for number in (2, 1):
        store.add(video(number))
    first = claimed(store)
    assert first == held(store, video(1))
    assert (first.status, first.attempts) == (VideoStatus.IN_PROGRESS, 1)
    assert (first.lease_holder, first.lease_until) == ("gateway-1", NOW_S + LEASE_S)
    assert claimed(store).id == video(2).id
    assert claim(store) is None


def test_only_videos_of_the_models_that_are_named_are_claimed(store: JobStore) -> None:
    store.add(video(1, model="wan"))
    store.add(video(2, model="hunyuan"))
    assert claim(store, models=[]) is None
    assert claim(store, models=["flux"]) is None
    found = claim(store, models=["flux", "hunyuan"])
    assert found is not None
    assert found.id == video(2).id


def test_a_lapsed_lease_goes_to_the_next_and_its_holder_has_no_say_any_more(
    store: JobStore,
) -> None:
    store.add(video())
    first = claimed(store, "gateway-1")
    assert claim(store, "gateway-2", NOW_S + LEASE_S - 0.01) is None
    second = claimed(store, "gateway-2", NOW_S + LEASE_S)
    assert second.attempts == 2
    late_s = NOW_S + LEASE_S + 1
    assert not store.renew(first.id, "gateway-1", late_s, lease_s=LEASE_S, progress=90)
    assert not store.release(first.id, "gateway-1")
    assert not store.fail(first.id, "gateway-1", late_s, ERROR)
    assert not complete(store, first.id, "gateway-1")
    assert held(store, first) == second
    assert complete(store, first.id, "gateway-2")


def test_a_renewed_lease_runs_on_and_progress_is_seen(store: JobStore) -> None:
    store.add(video())
    mine = claimed(store)
    assert store.renew(mine.id, "gateway-1", NOW_S + 20, lease_s=LEASE_S, progress=40)
    assert store.renew(mine.id, "gateway-1", NOW_S + 21, lease_s=LEASE_S, progress=30)
    assert held(store, mine).progress == 40
    assert claim(store, "gateway-2", NOW_S + 50.9) is None


def test_a_result_is_told_once(store: JobStore) -> None:
    store.add(video())
    mine = claimed(store)
    assert complete(store, mine.id)
    done = held(store, mine)
    assert (done.status, done.progress, done.receipt) == (VideoStatus.COMPLETED, 100, RECEIPT)
    assert (done.result_bytes, done.expires_at) == (2**33, NOW_S + KEEP_S)
    assert complete(store, mine.id)
    assert not complete(store, mine.id, "gateway-2")
    assert not store.fail(mine.id, "gateway-1", NOW_S, ERROR)
    assert held(store, mine) == done


def test_a_video_that_cannot_be_made_says_why(store: JobStore) -> None:
    store.add(video())
    assert store.fail(claimed(store).id, "gateway-1", NOW_S + 3, replace(ERROR, message="\0"))
    failed = held(store, video())
    assert (failed.status, failed.error) == (VideoStatus.FAILED, replace(ERROR, message="\0"))
    assert (failed.completed_at, failed.expires_at) == (NOW_S + 3, NOW_S + 3 + KEEP_S)
    assert claim(store, now_s=NOW_S + 1e6) is None


def test_a_video_that_ends_its_workers_fails_and_the_next_is_unharmed(store: JobStore) -> None:
    poison, good = store.add(video(1)), store.add(video(2))
    now_s = NOW_S
    for attempt in range(ATTEMPTS):
        assert claimed(store, f"gateway-{attempt}", now_s).id == poison.id
        now_s += LEASE_S
    assert claimed(store, "gateway-9", now_s).id == good.id
    failed = held(store, poison)
    assert failed.status is VideoStatus.FAILED
    assert failed.error is not None
    assert failed.error.code == "too_many_attempts"


def test_a_video_that_is_handed_back_is_claimed_again_as_if_for_the_first_time(
    store: JobStore,
) -> None:
    store.add(video(1))
    store.add(video(2))
    for _ in range(ATTEMPTS + 1):
        mine = claimed(store)
        assert (mine.id, mine.attempts) == (video(1).id, 1)
        assert store.release(mine.id, "gateway-1")


def test_a_cancelled_video_stops_its_worker(store: JobStore) -> None:
    store.add(video())
    mine = claimed(store)
    cancelled = store.cancel(mine.id, "", NOW_S + 5)
    assert cancelled == held(store, mine)
    assert cancelled.status is VideoStatus.CANCELLED
    assert not store.renew(mine.id, "gateway-1", NOW_S + 6, lease_s=LEASE_S, progress=1)
    assert not complete(store, mine.id)
    assert store.cancel(mine.id, "", NOW_S + 9) == cancelled
    assert claim(store, now_s=NOW_S + 1e6) is None


def test_a_deleted_video_is_gone_and_stops_its_worker(store: JobStore) -> None:
    store.add(video(), b"picture")
    mine = claimed(store)
    assert store.delete(mine.id, "") == mine
    assert store.get(mine.id, "") is None
    assert store.input_reference(mine.id) is None
    assert not store.renew(mine.id, "gateway-1", NOW_S, lease_s=LEASE_S, progress=1)
    assert not complete(store, mine.id)
    assert store.delete(mine.id, "") is None


def test_the_file_of_a_video_is_kept_whole_until_the_video_ends(store: JobStore) -> None:
    picture = bytes(range(256)) * 8000
    store.add(video(1), picture)
    store.add(video(2))
    assert store.input_reference(video(1).id) == picture
    assert store.input_reference(video(2).id) is None
    store.release(claimed(store).id, "gateway-1")
    assert store.input_reference(video(1).id) == picture
    complete(store, claimed(store).id)
    assert store.input_reference(video(1).id) is None


def test_videos_expire_after_their_end_and_are_forgotten_with_all_they_had(
    store: JobStore,
) -> None:
    for number in range(1, 5):
        store.add(video(number), b"picture")
    complete(store, claimed(store).id)
    store.fail(claimed(store).id, "gateway-1", NOW_S + 2, ERROR)
    store.cancel(video(3).id, "", NOW_S + 1)
    assert store.expired(NOW_S + KEEP_S - 1) == []
    in_order = [video(number).id for number in (1, 3, 2)]
    assert store.expired(NOW_S + KEEP_S + 9) == in_order
    assert store.expired(NOW_S + KEEP_S + 9, limit=2) == in_order[:2]
    store.forget([*in_order, "video_0"])
    store.forget([])
    assert store.expired(1e12) == []
    assert store.counts() == dict.fromkeys(VideoStatus, 0) | {VideoStatus.QUEUED: 1}
