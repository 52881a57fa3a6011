"""The result store in a local folder and on a real S3 API server: the same behaviour in both."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from cluster.errors import ResultsUnavailable
from deployments.result_place import CHUNK_BYTES
from deployments.results import ResultStore
from tests.storage.places import KEY, Place, pattern
from tests.storage.s3 import S3Server

DAY_S = 86_400.0


def test_what_is_put_is_there_for_every_store_of_the_place(place: Place) -> None:
    place.store().put(KEY, b"a picture")
    elsewhere = place.store_elsewhere()
    assert elsewhere.exists(KEY)
    assert elsewhere.size(KEY) == 9
    assert elsewhere.read(KEY) == b"a picture"


def test_what_was_never_put_is_none_and_deleting_it_is_fine(store: ResultStore) -> None:
    assert not store.exists(KEY)
    assert store.size(KEY) is None
    assert store.read(KEY) is None
    assert store.chunks(KEY) is None
    assert store.listing() == store.sweep(time.time()) == ()
    store.delete(KEY)


def test_what_was_deleted_is_gone_and_its_neighbours_stay(store: ResultStore) -> None:
    store.put(KEY, b"a")
    store.put("images/img_ab12_1", b"b")
    store.delete(KEY)
    assert not store.exists(KEY)
    assert store.read("images/img_ab12_1") == b"b"


def test_a_key_that_is_put_again_has_the_new_bytes_and_size(store: ResultStore) -> None:
    store.put(KEY, b"the first, longer")
    assert store.size(KEY) == 17
    store.put(KEY, b"the second")
    assert (store.size(KEY), store.read(KEY)) == (10, b"the second")


def test_a_large_result_comes_back_whole_in_bounded_pieces(store: ResultStore) -> None:
    clip = pattern(30_000_000)
    store.put("videos/video_ab12", clip)
    pieces = store.chunks("videos/video_ab12")
    assert pieces is not None
    held = list(pieces)
    assert b"".join(held) == clip
    assert max(map(len, held)) == CHUNK_BYTES


@pytest.mark.parametrize(
    ("start", "length"),
    [
        (0, 1),
        (7, CHUNK_BYTES),
        (CHUNK_BYTES - 1, 2),
        (2_999_999, 1),
        (1_000_000, None),
        (2_999_999, 50),
        (3_000_000, 1),
        (3_000_000, None),
    ],
)
def test_a_part_is_the_same_read_at_once_or_in_pieces(
    store: ResultStore, start: int, length: int | None
) -> None:
    clip = pattern(3_000_000)
    store.put("videos/video_ab12", clip)
    part = clip[start:] if length is None else clip[start : start + length]
    assert store.read("videos/video_ab12", start, length) == part
    pieces = store.chunks("videos/video_ab12", start, length)
    assert pieces is not None
    assert b"".join(pieces) == part


def test_what_is_listed_is_every_result_with_size_and_time(store: ResultStore) -> None:
    began_s = time.time()
    for key, size in ((KEY, 3), ("images/img_cd", 5), ("videos/video_ef.mp4", 7)):
        store.put(key, bytes(size))
    listed = {result.key: result for result in store.listing()}
    assert {key: result.size_bytes for key, result in listed.items()} == {
        KEY: 3,
        "images/img_cd": 5,
        "videos/video_ef.mp4": 7,
    }
    for result in listed.values():
        assert began_s - 2 < result.stored_at_s < time.time() + 2


def test_a_listing_sees_at_once_what_another_store_did(place: Place) -> None:
    reader, writer = place.store(), place.store_elsewhere()
    writer.put(KEY, b"a")
    assert len(reader.listing()) == 1
    writer.put("images/img_cd", b"b")
    assert len(reader.listing()) == 2
    assert reader.read("images/img_cd") == b"b"
    writer.delete(KEY)
    assert [result.key for result in reader.listing()] == ["images/img_cd"]
    assert reader.size(KEY) is None


def test_a_sweep_deletes_what_is_too_old(place: Place) -> None:
    store = place.store(max_age_s=DAY_S)
    store.put(KEY, b"a")
    store.put("videos/video_ab12", b"b")
    assert store.sweep(time.time() + DAY_S - 60) == ()
    assert sorted(store.sweep(time.time() + DAY_S + 60)) == [KEY, "videos/video_ab12"]
    assert store.listing() == ()


def test_two_sweepers_at_once_delete_the_oldest_and_leave_the_rest(place: Place) -> None:
    sweepers = [place.store(max_bytes=1_000), place.store_elsewhere(max_bytes=1_000)]
    store = sweepers[0]
    keys = [f"images/img_{number:02}" for number in range(20)]
    for key in keys:
        store.put(key, bytes(100))
    by_age = sorted(store.listing(), key=lambda result: (result.stored_at_s, result.key))
    with ThreadPoolExecutor(2) as threads:
        swept = list(threads.map(lambda sweeper: sweeper.sweep(time.time()), sweepers))
    left = sorted(result.key for result in store.listing())
    assert left == sorted(result.key for result in by_age[10:])
    assert sorted({*swept[0], *swept[1], *left}) == keys


def test_a_reader_sees_one_of_two_writings_and_never_a_mixture(store: ResultStore) -> None:
    writings = [bytes([letter]) * 200_000 for letter in b"ab"]
    store.put(KEY, writings[0])
    done = threading.Event()

    def write(data: bytes) -> None:
        for _ in range(10):
            store.put(KEY, data)

    def read() -> list[bytes]:
        seen = []
        while not done.is_set():
            seen.append(store.read(KEY) or b"")
            seen.append(b"".join(store.chunks(KEY) or ()))
        return seen

    with ThreadPoolExecutor(4) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        for writer in [threads.submit(write, data) for data in writings]:
            writer.result()
        done.set()
        seen = [data for reader in readers for data in reader.result()]
    assert seen
    assert set(seen) <= set(writings)
    assert len(store.listing()) == 1


def test_eight_threads_read_their_own_parts_through_a_store_that_none_used_before(
    place: Place,
) -> None:
    clip = pattern(8_000_000)
    place.store().put("videos/video_ab12", clip)
    store = place.store()

    def part(start: int) -> bytes:
        pieces = store.chunks("videos/video_ab12", start, 2_500_000)
        assert pieces is not None
        return b"".join(pieces)

    starts = [700_000 * number for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(part, starts))
    assert parts == [clip[start : start + 2_500_000] for start in starts]


def test_a_store_that_was_used_goes_to_another_process_and_reaches_out_when_it_is_used(
    store: ResultStore,
) -> None:
    store.put(KEY, b"a picture")
    code = (
        "import pickle, sys; store = pickle.load(sys.stdin.buffer); "
        f"print('fsspec' in sys.modules, store.read({KEY!r}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(store), capture_output=True, check=True
    )
    assert run.stdout == b"False b'a picture'\n"
    assert run.stderr == b""


def test_an_answer_that_is_given_up_leaves_nothing_open(store: ResultStore) -> None:
    store.put("videos/video_ab12", pattern(3_000_000))
    store.size("videos/video_ab12")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        pieces = store.chunks("videos/video_ab12")
        assert pieces is not None
        del pieces
    assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_store_that_was_used_works_in_a_forked_process(store: ResultStore) -> None:
    store.put(KEY, b"a picture")
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=lambda: answers.put(store.read(KEY)))
    child.start()
    assert answers.get(timeout=20) == b"a picture"
    child.join()


def test_a_folder_goes_on_with_what_a_reader_began_and_s3_says_that_it_cannot(
    place: Place,
) -> None:
    store = place.store()
    clip = pattern(3_000_000)
    store.put("videos/video_ab12", clip)
    pieces = store.chunks("videos/video_ab12")
    assert pieces is not None
    begun = next(pieces)
    store.put("videos/video_ab12", bytes(3_000_000))
    if place.url.startswith("s3://"):
        with pytest.raises(ResultsUnavailable, match="videos/video_ab12 cannot be read from s3:"):
            list(pieces)
    else:
        assert begun + b"".join(pieces) == clip


def test_a_whole_bucket_may_be_the_place(s3: S3Server) -> None:
    url = s3.make_bucket(f"results-{uuid4().hex}")
    store = Place(url, {"endpoint_url": s3.endpoint_url}).store(max_age_s=DAY_S)
    assert store.listing() == ()
    store.put(KEY, b"a picture")
    assert store.read(KEY) == b"a picture"
    assert store.sweep(time.time() + 2 * DAY_S) == (KEY,)
