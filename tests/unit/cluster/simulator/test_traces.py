"""A trace has the load, the mix, the floors and the callers of its name, and a seed repeats it."""

from __future__ import annotations

import math
import statistics
from collections import Counter

import pytest

from cluster.errors import ConfigError
from cluster.simulator.mixes import MIXES, Kind, mean_none_s
from cluster.simulator.trace_names import parse_trace_name
from cluster.simulator.traces import FLOORS, Arrival, DrawnTrace
from cluster.tiers import Tier

COUNT = 20_000
REPLICAS = 8


def drawn(name: str) -> DrawnTrace:
    return parse_trace_name(name).trace(COUNT, REPLICAS)


def requests(name: str, seed: int = 3) -> list[Arrival]:
    return list(drawn(name).arrivals(seed))


def none_s(trace: DrawnTrace, arrival: Arrival) -> float:
    job = arrival.job
    (kind,) = (
        kind
        for kind in trace.kinds
        if (kind.width, kind.height, kind.steps, kind.frames)
        == (job.width, job.height, job.num_inference_steps, job.num_frames)
    )
    return kind.none_s


@pytest.mark.parametrize("mix", MIXES)
def test_load_is_work_at_none_per_second_and_replica(mix: str) -> None:
    trace = drawn(f"poisson:{mix}:load=0.9")
    found = list(trace.arrivals(seed=3))
    works_s = [none_s(trace, arrival) for arrival in found]
    load = sum(works_s) / found[-1].at_s / REPLICAS
    # A compound Poisson sum of N terms has the relative variance (1 + cv^2) / N.
    cv = statistics.pstdev(works_s) / statistics.fmean(works_s)
    assert load == pytest.approx(0.9, rel=4 * math.sqrt((1 + cv**2) / COUNT))


def test_kinds_come_in_their_shares() -> None:
    trace = drawn("poisson:C")
    counts = Counter(none_s(trace, arrival) for arrival in trace.arrivals(seed=3))
    for kind in MIXES["C"]:
        tolerance = 4 * math.sqrt(kind.share * (1 - kind.share) / COUNT)
        assert counts[kind.none_s] / COUNT == pytest.approx(kind.share, abs=tolerance)


def test_the_mean_of_mix_c_is_that_of_its_table() -> None:
    assert mean_none_s(MIXES["C"]) == pytest.approx(
        0.15 * 1.72 + 0.25 * 2.06 + 0.45 * 4.15 + 0.15 * 13.83
    )
    assert mean_none_s((Kind(16, 16, 1, 1.0, 3.0), Kind(16, 16, 2, 5.0, 1.0))) == 2.0


def test_with_auto_floors_come_in_their_shares_and_a_fixed_tier_has_none() -> None:
    counts = Counter(arrival.job.min_tier for arrival in requests("poisson:C:tier=auto"))
    for floor, share in FLOORS.items():
        tolerance = 4 * math.sqrt(share * (1 - share) / COUNT)
        assert counts[floor] / COUNT == pytest.approx(share, abs=tolerance)
    fixed = {(each.job.tier_requested, each.job.min_tier) for each in requests("poisson:C")}
    assert fixed == {("none", None)}
    only = requests("poisson:C:tier=auto,floors=0/0/1/0/0")
    assert {arrival.job.min_tier for arrival in only} == {Tier.MEDIUM}


def test_deadlines_are_a_multiple_of_the_work_at_none() -> None:
    trace = drawn("poisson:C:tier=ultra,deadline=2.5")
    for arrival in trace.arrivals(seed=3):
        assert arrival.job.deadline_s == 2.5 * none_s(trace, arrival)
    assert {each.job.deadline_s for each in requests("poisson:C:deadline=0")} == {None}


def test_callers_share_the_requests_by_their_weights() -> None:
    counts = Counter(arrival.job.caller for arrival in requests("poisson:C:callers=3/1"))
    assert counts["a"] / COUNT == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / COUNT))
    assert set(counts) == {"a", "b"}


def test_noise_has_median_one_and_the_sigma_that_was_asked_for() -> None:
    logs = [math.log(arrival.slowness) for arrival in requests("poisson:C:noise=0.3")]
    assert statistics.fmean(logs) == pytest.approx(0.0, abs=4 * 0.3 / math.sqrt(COUNT))
    assert statistics.pstdev(logs) == pytest.approx(0.3, rel=4 / math.sqrt(2 * COUNT))


def test_a_seed_repeats_a_trace() -> None:
    name = "gamma:image+video:tier=auto,noise=0.2,callers=2/1,cv=3"
    assert requests(name) == requests(name)
    assert requests(name) != requests(name, seed=4)


def test_other_noise_and_tiers_leave_times_and_work_as_they_are() -> None:
    plain = requests("poisson:C:load=0.9")
    other = requests("poisson:C:load=0.9,noise=0.3,tier=auto,callers=1/1")
    assert [each.at_s for each in plain] == [each.at_s for each in other]
    assert [each.job.width for each in plain] == [each.job.width for each in other]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("poison:C", "a trace is ARRIVALS:MIX:KEY=VALUE"),
        ("poisson:D", "the mixes C, bimodal, image+video"),
        ("poisson:C:lod=0.9", "did you mean load?"),
        ("poisson:C:load=high", "load: "),
        ("poisson:C:load=0", "load: "),
        ("poisson:C:load=inf", "load: "),
        ("poisson:C:cv=4", "unknown key cv"),
        ("poisson:C:tier=best", "tier: "),
        ("poisson:C:tier=auto,floors=1/2", "floors: "),
        ("poisson:C:tier=auto,floors=0/0/0/0/0", "must not all be 0"),
        ("poisson:C:callers=-1/2", "callers"),
        ("day:C:swing=1.5", "swing: "),
        ("no-such-file.jsonl", "no such trace"),
    ],
)
def test_a_name_that_spells_no_trace_is_told(name: str, problem: str) -> None:
    with pytest.raises(ConfigError, match="trace ") as raised:
        parse_trace_name(name)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)
