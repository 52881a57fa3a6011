"""What the run under faults says of answers: which are right, which honest, which wrong."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest

from benchmarks.chaos import main
from benchmarks.chaos_load import ALL, Ask
from benchmarks.chaos_report import Run, part
from benchmarks.chaos_verdict import (
    Answer,
    Ended,
    Shape,
    Struck,
    broken,
    documented,
    first_right_s,
    judged,
)

SHAPE = Shape("shapes/pair", "none", "ulysses2", 1)
REFERENCES = {SHAPE: "right"}
RIGHT = Answer(1, "picture", 10.0, 12.0, "picture", 200, shape=SHAPE, digest="right")
PROXY = Struck("proxy-kill", "SIGKILL of the HTTP proxy", 10.5, 11.0, 19.0, True, "")
ROUTER = replace(PROXY, fault="router-kill", cuts=False)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (RIGHT, "right"),
        (replace(RIGHT, digest="other"), "has another picture than undisturbed"),
        (replace(RIGHT, shape=replace(SHAPE, seed=2)), "has another picture than undisturbed"),
        (replace(RIGHT, answers=2), "has 2 answers"),
        (replace(RIGHT, ended="hung", ended_s=60.0), "has no answer in its time"),
        (
            replace(RIGHT, ended="strange", status=500, says="oh"),
            "has an answer of no known form: 500 oh",
        ),
        (replace(RIGHT, ended="refused", status=429, code="queue_full"), "refused"),
        (replace(RIGHT, ended="refused", status=504, code="deadline_passed"), "refused"),
        (replace(RIGHT, ended="refused", status=200, code="gateway_died"), "refused"),
        (
            replace(RIGHT, ended="refused", status=500, code="", says="oh"),
            "is refused in no documented way: 500 oh",
        ),
        (
            replace(RIGHT, ended="refused", status=401, code="invalid_api_key"),
            "is refused in no documented way: 401 invalid_api_key",
        ),
    ],
)
def test_an_answer_is_the_undisturbed_picture_or_a_documented_refusal(
    answer: Answer, says: str
) -> None:
    assert judged(answer, [PROXY], REFERENCES) == says


@pytest.mark.parametrize("ended", ["dropped", "hung"])
@pytest.mark.parametrize(
    ("sent_s", "ended_s", "fault", "is_excused"),
    [
        (10.0, 12.0, PROXY, True),
        (10.0, 12.0, ROUTER, False),
        (10.0, 10.4, PROXY, False),
        (10.0, 16.5, PROXY, False),
        (11.5, 12.0, PROXY, False),
        (10.0, 70.0, replace(PROXY, gone_s=69.0, back_s=72.0), True),
        (10.0, 12.0, replace(PROXY, gone_s=None), False),
    ],
)
def test_a_connection_may_end_only_with_the_process_that_held_it(
    ended: Ended, sent_s: float, ended_s: float, fault: Struck, is_excused: bool
) -> None:
    answer = replace(RIGHT, ended=ended, sent_s=sent_s, ended_s=ended_s)
    assert (judged(answer, [fault], REFERENCES) == "dropped") is is_excused


@pytest.mark.parametrize(
    ("ended_s", "fault", "is_excused"),
    [(18.0, PROXY, True), (18.0, ROUTER, False), (10.0, PROXY, False), (19.5, PROXY, False)],
)
def test_nobody_may_fail_to_listen_but_a_proxy_that_is_not_back(
    ended_s: float, fault: Struck, is_excused: bool
) -> None:
    answer = replace(RIGHT, ended="unheard", sent_s=ended_s - 0.1, ended_s=ended_s, says="refused")
    says = judged(answer, [fault], REFERENCES)
    assert says == (
        "unheard" if is_excused else "is unheard, and nothing that held it was hit: refused"
    )


def test_the_first_right_answer_is_to_a_request_of_that_pool_sent_after_the_fault() -> None:
    fault = replace(ROUTER, began_s=9.0, hits="shapes/pair")
    before, other = replace(RIGHT, sent_s=8.0), replace(RIGHT, shape=replace(SHAPE, pool="b"))
    wrong = replace(RIGHT, digest="other")
    assert first_right_s(fault, [before, other, wrong], REFERENCES) is None
    assert first_right_s(fault, [before, RIGHT, replace(RIGHT, ended_s=20.0)], REFERENCES) == 3.0


def test_each_broken_promise_is_a_sentence() -> None:
    runs = {"rank": 4, "placement groups in Ray": 2}
    after = replace(RIGHT, sent_s=11.0)
    assert broken([after], 1, [PROXY], REFERENCES, runs, runs) == []
    assert broken([RIGHT], 1, [PROXY], REFERENCES, runs, runs) == [
        "proxy-kill: no right answer after it"
    ]
    lost = broken([RIGHT, RIGHT], 3, [], REFERENCES, runs, {"rank": 3, "raylet": 1})
    assert lost == [
        "3 requests were sent, and 2 ended",
        "request 1 ended 2 times",
        "placement groups in Ray: 2 before and 0 after",
        "rank: 4 before and 3 after",
        "raylet: 0 before and 1 after",
    ]
    never = replace(PROXY, back_s=None)
    assert broken([after], 1, [never], REFERENCES, runs, runs) == [
        "proxy-kill: not everything ran again"
    ]


def test_refusals_are_those_of_the_tree_of_errors() -> None:
    found = documented()
    assert {(429, "queue_full"), (503, "no_replica"), (500, "output_corrupt")} <= found
    assert not {status for status, _ in found} & {400, 401, 404}


def test_the_same_seed_asks_the_same() -> None:
    def first(seed: int) -> list[Ask]:
        return list(islice(ALL.asks(seed, 2.0), 200))

    assert first(1) == first(1) != first(2)
    assert {ask.kind for ask in first(1)} == set(ALL.kinds)
    last = first(1)[-1]
    assert 60 < last.at_s < 150
    references = {(ask.tier, ask.seed) for ask in ALL.each() if ask.kind == "picture"}
    assert {(ask.tier, ask.seed) for ask in first(1)} <= references


def test_no_kind_of_request_stays_away_for_long() -> None:
    hand = sum(ALL.kinds.values())
    kinds = [ask.kind for ask in islice(ALL.asks(3, 2.0), 40 * hand)]
    for start in range(len(kinds) - 2 * hand):
        assert set(kinds[start : start + 2 * hand]) == set(ALL.kinds)
    assert {kind: kinds.count(kind) / 40 for kind in ALL.kinds} == dict(ALL.kinds)


def test_the_table_has_a_row_for_each_fault() -> None:
    struck = [ROUTER, replace(ROUTER, began_s=20.0, gone_s=20.3, back_s=24.0), PROXY]
    run = Run(1, 60.0, 1.0, 1, [RIGHT], struck, REFERENCES, {}, {}, {"disk-full": "no disk"}, [])
    text = part(run, {"date": "2026-01-01"})
    assert text.splitlines()[0] == "Date 2026-01-01."
    assert "| SIGKILL of the HTTP proxy | 2 | 0.4 (0.3 to 0.5) |" in text
    assert "Not made: disk-full, since no disk." in text


def test_an_unknown_fault_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--faults", "rank-kil", "--out", "x.json"])
    assert "no fault is named 'rank-kil'; there are rank-kill, " in capsys.readouterr().err
