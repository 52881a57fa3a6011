"""Which stored results go: by age, then by bytes, the oldest first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.retention import Deletion, Stored, deletions

NOW_S = 1_000_000.0
HOUR_S = 3600.0

stores = st.lists(
    st.builds(
        Stored,
        key=st.integers(0, 10**6).map("images/img_{}".format),
        size_bytes=st.integers(0, 1000),
        stored_at_s=st.integers(-50, 5000).map(lambda ago_s: NOW_S - ago_s),
    ),
    unique_by=lambda result: result.key,
    max_size=30,
)
ages_s = st.integers(1, 5000).map(float)
limits = st.none() | st.integers(1, 20_000)


def stored(key: str, age_s: float, size_bytes: int = 100) -> Stored:
    return Stored(key, size_bytes, NOW_S - age_s)


def bytes_of(results: list[Stored]) -> int:
    return sum(result.size_bytes for result in results)


def kept_after(results: list[Stored], decided: tuple[Deletion, ...]) -> list[Stored]:
    gone = {deletion.key for deletion in decided}
    return [result for result in results if result.key not in gone]


def test_what_is_too_old_goes_and_its_reason_is_its_age():
    results = [stored("images/new", 60), stored("images/old", HOUR_S + 1)]
    assert deletions(results, NOW_S, HOUR_S, None) == (
        Deletion("images/old", "3601 s old, more than max_age_s, 3600"),
    )


def test_what_is_just_as_old_as_allowed_stays():
    assert deletions([stored("images/a", HOUR_S)], NOW_S, HOUR_S, None) == ()


def test_the_oldest_go_until_no_more_than_the_bytes_are_left():
    results = [stored(f"images/{age}", age) for age in (10, 40, 20, 30)]
    assert deletions(results, NOW_S, HOUR_S, 250) == (
        Deletion("images/40", "the oldest of 400 bytes, more than max_bytes, 250"),
        Deletion("images/30", "the oldest of 300 bytes, more than max_bytes, 250"),
    )


def test_the_bytes_of_what_is_too_old_count_no_more():
    results = [stored("images/old", HOUR_S + 1), stored("images/new", 1)]
    decided = deletions(results, NOW_S, HOUR_S, 100)
    assert [deletion.key for deletion in decided] == ["images/old"]


def test_a_result_larger_than_all_that_may_be_kept_goes():
    assert len(deletions([stored("videos/a", 1, 101)], NOW_S, HOUR_S, 100)) == 1


@given(results=stores, max_age_s=ages_s, max_bytes=limits)
def test_nothing_too_old_and_no_more_than_the_bytes_are_kept(
    results: list[Stored], max_age_s: float, max_bytes: int | None
):
    kept = kept_after(results, deletions(results, NOW_S, max_age_s, max_bytes))
    assert all(NOW_S - result.stored_at_s <= max_age_s for result in kept)
    assert max_bytes is None or bytes_of(kept) <= max_bytes


@given(results=stores, max_age_s=ages_s, max_bytes=limits)
def test_nothing_goes_without_need_and_nothing_before_what_is_older(
    results: list[Stored], max_age_s: float, max_bytes: int | None
):
    decided = deletions(results, NOW_S, max_age_s, max_bytes)
    kept = kept_after(results, decided)
    by_key = {result.key: result for result in results}
    gone = [by_key[deletion.key] for deletion in decided]
    for result in gone:
        assert all(result.stored_at_s <= other.stored_at_s for other in kept)
    young = [result for result in gone if NOW_S - result.stored_at_s <= max_age_s]
    if young:
        assert max_bytes is not None
        assert bytes_of(kept) + young[-1].size_bytes > max_bytes


@given(results=stores, max_age_s=ages_s, max_bytes=limits, data=st.data())
def test_a_second_sweeper_deletes_nothing_more_than_the_first_would(
    results: list[Stored], max_age_s: float, max_bytes: int | None, data: st.DataObject
):
    first = deletions(results, NOW_S, max_age_s, max_bytes)
    done = data.draw(st.integers(0, len(first)))
    left = kept_after(data.draw(st.permutations(results)), first[:done])
    second = deletions(left, NOW_S, max_age_s, max_bytes)
    assert [deletion.key for deletion in second] == [deletion.key for deletion in first[done:]]
