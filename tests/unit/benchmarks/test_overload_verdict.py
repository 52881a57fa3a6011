"""What an overload must show, and the sentence for each thing that it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.growth import Slope
from benchmarks.overload_table import table
from benchmarks.overload_verdict import Latencies, Overload, faults, refusals_in
from benchmarks.paced import Called
from benchmarks.picture_calls import Answer

SECONDS = 100.0
FLAT = Slope(0.1, -0.2, 0.3)


def served(
    number: int, *, took_s: float = 1.0, deadline_s: float | None = None, right: bool = True
) -> Called[Answer]:
    at_s = number * SECONDS / 500
    return Called(at_s, at_s, at_s + took_s, Answer(200, right, deadline_s))


def refused(took_s: float = 0.02, status: int | None = 429) -> Called[Answer]:
    return Called(1.0, 1.0, 1.0 + took_s, Answer(status, False, None, "says why"))


GOOD = Overload(
    before=[5.0, 5.0],
    after=[5.0, 5.0],
    seconds=SECONDS,
    calls=[*(served(number) for number in range(490)), *(refused() for _ in range(1000))],
    in_server=Latencies.of([0.01] * 1000),
    lag_p99_s=0.001,
    caller_cpu=0.1,
    memory={"gateway": FLAT},
)


def test_a_good_run_has_no_fault() -> None:
    assert faults(GOOD) == []


def test_latencies_tell_their_percentiles_and_the_share_under_the_bar() -> None:
    found = Latencies.of([0.001 * number for number in range(1, 101)])
    assert (found.p50_s, found.p95_s, found.p99_s) == pytest.approx((0.05, 0.095, 0.099))
    assert found.share_under == 0.49


def test_refusals_are_read_from_the_log_of_the_proxy() -> None:
    log = """INFO 2026-11-28 15:03:08 proxy 10.0.0.2 6f -- POST /v1/images/generations 429 12.5ms
INFO 2026-11-28 15:03:08 proxy 10.0.0.2 70 -- POST /v1/images/generations 200 942.5ms
INFO 2026-11-28 15:03:08,625 proxy 10.0.0.2 71 -- GET /metrics 429 3.0ms
"""
    assert refusals_in(log) == [0.0125]


def test_a_picture_after_its_deadline_or_the_end_is_no_good_and_a_wrong_one_is_a_fault() -> None:
    late = [served(number, took_s=3.0, deadline_s=2.0) for number in range(100)]
    run = replace(GOOD, calls=[*late, *GOOD.calls])
    assert run.late == 100
    assert run.goodput == pytest.approx(4.85, abs=0.1)
    wrong = replace(GOOD, calls=[served(0, right=False), *GOOD.calls])
    assert faults(wrong) == ["1 pictures are not those that an idle server makes"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"before": [6.0], "after": [6.0]}, "goodput is 8"),
        ({"calls": [*GOOD.calls[:490], *[refused(0.2)] * 900]}, "95 % of the refusals take 200 ms"),
        ({"memory": {"gateway": Slope(4.0, 3.0, 5.0)}}, "gateway grows by 4.00 MB a minute"),
        ({"calls": [*GOOD.calls, refused(status=None)]}, "1 were answered None: says why"),
        ({"calls": [*GOOD.calls, refused(status=500)]}, "1 were answered 500: says why"),
        ({"calls": [*GOOD.calls, refused(status=504)]}, "1 deadlines were promised and passed"),
        ({"caller_cpu": 0.9}, "the callers are the bottleneck"),
        ({"lag_p99_s": 0.2}, "the callers are the bottleneck"),
    ],
)
def test_each_bar_that_is_missed_has_its_sentence(change: dict[str, object], sentence: str) -> None:
    run = replace(GOOD, **change)  # type: ignore[arg-type]
    (found,) = faults(run)
    assert sentence in found
    assert found in table(run, times=5, steps=10, callers=2, queued=32)
