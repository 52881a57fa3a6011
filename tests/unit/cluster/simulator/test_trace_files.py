"""A trace that is written and read again is the same; a wrong line is told by its number."""

from __future__ import annotations

import json

import pytest

from cluster.errors import ConfigError
from cluster.simulator.trace_files import read_trace, trace_lines
from cluster.simulator.trace_names import parse_trace_name
from cluster.tiers import Tier

NAME = "gamma:image+video:load=1.2,tier=auto,noise=0.2,callers=3/1,late=refuse"
KIND = '{"width": 512, "height": 512, "steps": 20, "none_s": 1.72}'
FIRST = f'{{"kinds": [{KIND}]}}'
REQUEST = '{"at_s": 1.5, "width": 512, "height": 512, "steps": 20}'


def test_a_trace_that_is_written_and_read_again_is_the_same() -> None:
    trace = parse_trace_name(NAME).trace(300, capacity=8)
    read = read_trace(trace_lines(trace, seed=5), "trace.jsonl")
    assert list(read.arrivals(seed=0)) == list(trace.arrivals(seed=5))
    assert (read.kinds, read.noise, read.requests) == (trace.kinds, trace.noise, 300)


def test_a_line_needs_only_a_time_and_a_kind() -> None:
    (arrival,) = read_trace([FIRST, REQUEST], "trace.jsonl").arrivals(seed=0)
    assert (arrival.at_s, arrival.slowness, arrival.job.tier_requested) == (1.5, 1.0, "auto")
    assert (arrival.job.deadline_s, arrival.job.min_tier) == (None, None)


def test_a_recorded_trace_tells_which_tiers_it_asks_for() -> None:
    lines = [FIRST, REQUEST, json.dumps(json.loads(REQUEST) | {"min_tier": "fast"})]
    assert read_trace(lines, "t").wishes == {("auto", None), ("auto", Tier.FAST)}


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], "t:1: not valid JSON"),
        ([FIRST], "t: has no request"),
        (["[1]", REQUEST], "t:1: must be a mapping"),
        (["{}", REQUEST], "t:1: kinds: is missing"),
        (['{"kinds": []}', REQUEST], "t:1: kinds: "),
        ([FIRST, "{"], "t:2: not valid JSON"),
        ([FIRST, REQUEST, REQUEST.replace("steps", "step")], "t:3: unknown key step"),
        ([FIRST, REQUEST.replace("512", "256")], "t:2: of a kind that the first line does not"),
        ([FIRST, REQUEST.replace("1.5", "-1")], "t:2: at_s: "),
        ([FIRST, REQUEST, REQUEST.replace("1.5", "1.4")], "t:3: at_s: earlier than the line"),
        ([FIRST.replace(KIND, f"{KIND}, {KIND}"), REQUEST], "t:1: kinds: names a kind twice"),
        ([FIRST.replace("1.72", "0"), REQUEST], "t:1: kinds[0].none_s: "),
    ],
)
def test_a_wrong_line_is_told_by_its_number(lines: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_trace(lines, "t")
    assert str(raised.value).startswith(problem)
