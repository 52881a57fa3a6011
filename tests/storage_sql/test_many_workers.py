"""Many processes and threads on one store: every video is one worker's, and ends once."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from sqlalchemy import create_engine, select

from cluster.video_job import VideoJob, VideoStatus
from deployments.job_store import JobStore
from deployments.job_tables import VIDEOS
from tests.storage_sql.at_once import in_processes, in_threads, meet, process
from tests.storage_sql.postgres import PostgresServer
from tests.storage_sql.videos import ATTEMPTS, LEASE_S, NOW_S, claim, claimed, video


def complete(store: JobStore, mine: VideoJob) -> bool:
    holder = mine.lease_holder or ""
    return store.complete(mine.id, holder, NOW_S, receipt={"holder": holder}, result_bytes=1)


def work_off(store: JobStore, holder: str) -> list[VideoJob]:
    """Claims and completes until nothing is left; what was claimed."""
    mine: list[VideoJob] = []
    while (found := claim(store, holder)) is not None:
        assert store.renew(found.id, holder, NOW_S, lease_s=LEASE_S, progress=50)
        assert complete(store, found)
        mine.append(found)
    return mine


def eight_workers(number: int, store: JobStore) -> list[VideoJob]:
    found = in_threads(8, lambda thread: work_off(store, f"gateway-{number}-{thread}"))
    store.close()
    return [each for mine in found for each in mine]


def count(_number: int, store: JobStore) -> dict[VideoStatus, int]:
    counts = store.counts()
    store.close()
    return counts


def open_new_files(_number: int, folder: Path, files: int) -> int:
    opened = 0
    for file in range(files):
        store = JobStore(f"sqlite:///{folder}/jobs-{file}.db", keep_s=1.0)
        meet()
        opened += store.counts()[VideoStatus.QUEUED] == 0
        store.close()
    return opened


def claim_and_hand_back(store: JobStore, holder: str) -> None:
    while True:
        mine = claimed(store, holder)
        store.renew(mine.id, holder, NOW_S, lease_s=LEASE_S, progress=1)
        store.release(mine.id, holder)


def holders(store: JobStore) -> set[str | None]:
    return {each.lease_holder for each in store.page("", after=None, limit=100, order="asc")[0]}


def test_of_sixteen_workers_in_two_processes_one_has_each_of_a_hundred_videos(
    store: JobStore,
) -> None:
    videos = [store.add(video(number)) for number in range(1, 101)]
    found = [each for mine in in_processes(2, eight_workers, store) for each in mine]
    assert sorted(each.id for each in found) == [each.id for each in videos]
    assert {each.attempts for each in found} == {1}
    workers = {each.id: each.lease_holder for each in found}
    for each in store.page("", after=None, limit=100, order="asc")[0]:
        assert each.status is VideoStatus.COMPLETED
        assert each.receipt == {"holder": workers[each.id]}


def test_three_processes_that_start_at_once_make_one_schema(store: JobStore) -> None:
    assert in_processes(3, count, store) == [dict.fromkeys(VideoStatus, 0)] * 3
    assert store.add(video()) == video()


def test_three_processes_that_open_a_new_file_at_once_all_have_it(tmp_path: Path) -> None:
    assert in_processes(3, open_new_files, tmp_path, 30) == [30, 30, 30]


def test_a_claim_does_not_wait_for_a_video_that_somebody_is_changing(
    postgres: PostgresServer,
) -> None:
    url = postgres.new_database()
    store, engine = JobStore(url, keep_s=1.0), create_engine(url)
    for number in (1, 2):
        store.add(video(number))
    with engine.begin() as connection:
        oldest = select(VIDEOS.c.id).where(VIDEOS.c.id == video(1).id)
        connection.execute(oldest.with_for_update())
        assert claimed(store).id == video(2).id
        assert claim(store) is None
    assert claimed(store).id == video(1).id
    engine.dispose()
    store.close()


def test_eight_requests_with_one_key_make_one_video(store: JobStore) -> None:
    def ask(number: int) -> VideoJob:
        return store.add(video(number + 1, idempotency_key="k", request_digest="same"), b"picture")

    for _ in range(5):
        made = in_threads(8, ask)
        assert len({each.id for each in made}) == 1
        assert store.counts()[VideoStatus.QUEUED] == 1
        assert store.input_reference(made[0].id) == b"picture"
        store.delete(made[0].id, "")


def test_videos_that_are_deleted_while_they_are_claimed_are_gone_and_the_others_done(
    store: JobStore,
) -> None:
    ids = [store.add(video(number)).id for number in range(1, 41)]
    deleted = ids[::2]

    def work(number: int) -> list[tuple[str, bool]]:
        if number == 0:
            return [(each, store.delete(each, "") is not None) for each in reversed(deleted)]
        done: list[tuple[str, bool]] = []
        while (mine := claim(store, f"gateway-{number}")) is not None:
            done.append((mine.id, complete(store, mine)))
        return done

    deletions, *works = in_threads(5, work)
    assert [gone for _, gone in deletions] == [True] * len(deleted)
    told = [each for mine in works for each in mine]
    assert max(Counter(video_id for video_id, _ in told).values()) == 1
    assert {video_id for video_id, done in told if not done} <= set(deleted)
    left = store.page("", after=None, limit=100, order="asc")[0]
    assert [each.id for each in left] == ids[1::2]
    assert {each.status for each in left} == {VideoStatus.COMPLETED}


def test_of_an_end_and_a_cancellation_at_once_one_stands(store: JobStore) -> None:
    def end(number: int) -> bool:
        if number == 0:
            return complete(store, mine)
        cancelled = store.cancel(mine.id, "", NOW_S)
        return cancelled is not None and cancelled.status is VideoStatus.CANCELLED

    for number in range(1, 21):
        store.add(video(number))
        mine = claimed(store)
        completed, cancelled = in_threads(2, end)
        left = store.get(mine.id, "")
        assert left is not None
        assert completed is not cancelled
        assert left.status is (VideoStatus.COMPLETED if completed else VideoStatus.CANCELLED)


def test_a_worker_that_is_killed_at_any_moment_leaves_its_videos_to_others(
    store: JobStore,
) -> None:
    for number in range(1, 4):
        store.add(video(number))
    for delay_s in (0.0, 0.003, 0.007):
        holder = f"doomed after {delay_s} s"
        with process(claim_and_hand_back, store, holder) as doomed:
            started = time.monotonic()
            while holder not in holders(store):
                assert doomed.is_alive()
                assert time.monotonic() - started < 30
            time.sleep(delay_s)
    later_s = NOW_S + LEASE_S
    found = [claimed(store, "heir", later_s) for _ in range(3)]
    assert [each.id for each in found] == [video(number).id for number in range(1, 4)]
    assert all(each.attempts <= ATTEMPTS for each in found)
    assert claim(store, "heir", later_s) is None
