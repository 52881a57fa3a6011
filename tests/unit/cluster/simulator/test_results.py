"""The numbers of a run by hand; runs repeat; policies are compared on the same requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.config import ModelConfig
from cluster.errors import ConfigError
from cluster.pool import PoolConfig
from cluster.simulator.comparison import Spread, summaries
from cluster.simulator.fleet import Fleet, equal_replicas, fleet_of
from cluster.simulator.policies import check_policy_name
from cluster.simulator.results import RunResult, Tally, breaks_floor, percentile
from cluster.simulator.study import run_policy
from cluster.simulator.trace_names import parse_trace_name
from cluster.tiers import Tier
from tests.unit.cluster.simulator.schedule import Asked, arrivals, outcomes

FLEET = equal_replicas(4)


def run(policy: str, name: str, seed: int = 0, requests: int = 2000) -> RunResult:
    trace = parse_trace_name(name).trace(requests, FLEET.capacity)
    return run_policy(name, trace, FLEET, policy, seed)


def tallied(policy: str, asked: list[Asked], replica_s: float) -> RunResult:
    tally = Tally()
    for outcome in outcomes(policy, asked, replicas=1):
        tally.add(outcome)
    return tally.result("by hand", policy, 0, replica_s)


def test_the_numbers_of_three_jobs_by_hand() -> None:
    asked = [
        Asked(0, 10, deadline_s=5, tier="fast"),  # ends at 4.6, in time
        Asked(0, 10, deadline_s=20, tier="none"),  # ends at 14.6, in time
        Asked(0, 10, deadline_s=17, tier="ultra"),  # ends at 17.9, late
    ]
    result = tallied("fifo", asked, replica_s=20)
    assert (result.requests, result.in_time, result.misses, result.refused) == (3, 2, 1, 0)
    assert result.attainment == pytest.approx(2 / 3)
    assert result.quality_goodput == pytest.approx((0.93 + 1) / 3)
    assert result.mean_quality == pytest.approx((0.93 + 1 + 0.85) / 3)
    assert result.latency_p50_s == pytest.approx(14.6)
    assert result.latency_p99_s == pytest.approx(17.9)
    assert result.utilisation == pytest.approx(17.9 / 20)
    assert result.forecast_error == pytest.approx(0, abs=1e-9)
    assert result.tiers == {"none": 1, "slow": 0, "medium": 0, "fast": 1, "ultra": 1}


@pytest.mark.parametrize(
    ("asked", "floor", "broken"),
    [
        ("auto", None, []),
        ("auto", "medium", ["fast", "ultra"]),
        ("medium", None, ["fast", "ultra"]),
        ("none", "fast", ["ultra"]),
    ],
)
def test_a_floor_is_broken_by_what_is_worse_than_the_caller_accepts(
    asked: str, floor: str | None, broken: list[str]
) -> None:
    (arrival,) = arrivals([Asked(0, 1, tier=asked, floor=Tier(floor) if floor else None)])
    assert [str(tier) for tier in Tier if breaks_floor(arrival.job, tier)] == broken


def test_a_percentile_is_the_least_value_with_so_much_at_or_below_it() -> None:
    assert percentile([1, 2, 3, 4], 0.5) == 2
    assert percentile([1, 2, 3, 4], 0.51) == 3
    assert percentile([1, 2, 3, 4], 0.99) == 4
    assert percentile([7], 0.5) == 7
    assert percentile([], 0.5) is None


def test_forecasts_are_off_by_the_noise_and_callers_are_told_apart() -> None:
    result = run("fifo", "poisson:C:noise=0.3,callers=3/1,load=0.5")
    # E|1 - exp(-x)| for x normal with sigma 0.3 is 0.240; of 2,000, to within a tenth.
    assert result.forecast_error == pytest.approx(0.24, rel=0.1)
    assert set(result.caller_attainment) == {"a", "b"}


def test_nine_of_ten_promises_are_kept_under_five_times_the_load_and_noise() -> None:
    name = "poisson:C:load=5,tier=none,noise=0.1,late=refuse"
    fleet = equal_replicas(1)
    runs = [
        run_policy(name, parse_trace_name(name).trace(2000, fleet.capacity), fleet, "ours", seed)
        for seed in range(3)
    ]
    promised = sum(2000 - each.refused for each in runs)
    assert sum(each.misses - each.refused for each in runs) < 0.1 * promised


@pytest.mark.parametrize("policy", ["ours", "power-of-two+fits", "random", "edf-hopeless-last"])
def test_the_same_seed_gives_the_same_numbers_and_another_does_not(policy: str) -> None:
    name = "gamma:C:load=1.2,tier=auto,noise=0.2"
    assert run(policy, name, requests=500) == run(policy, name, requests=500)
    assert run(policy, name, requests=500) != run(policy, name, seed=1, requests=500)


def test_one_line_is_joining_the_least_work_where_forecasts_are_exact() -> None:
    line, joined = (run(policy, "poisson:C:load=0.9") for policy in ("fifo", "least-work"))
    assert line.misses == joined.misses
    assert line.latency_p99_s == pytest.approx(joined.latency_p99_s)


def test_deadline_order_with_the_hopeless_last_misses_least_of_those_that_ask_alike() -> None:
    name = "poisson:C:load=0.9"
    policies = ("edf-hopeless-last", "edf", "fifo", "power-of-two", "round-robin", "random")
    misses = [run(policy, name).misses for policy in policies]
    assert misses == sorted(misses)


def test_policies_are_compared_with_the_first_of_their_trace() -> None:
    first, other = run("fifo", "poisson:C", requests=100), run("edf", "poisson:C", requests=100)
    runs = [
        replace(first, seed=0, in_time=90),
        replace(first, seed=1, in_time=80),
        replace(other, seed=0, in_time=98),
        replace(other, seed=1, in_time=96),
        replace(other, trace="another", in_time=100),
    ]
    fifo, edf, alone = summaries(runs)
    assert (fifo.policy, edf.policy, alone.trace) == ("fifo", "edf", "another")
    assert fifo.metrics["attainment"] == Spread(pytest.approx(0.85), 0.8, 0.9)
    assert (fifo.times_misses, edf.times_misses, alone.times_misses) == (1, 6 / 30, None)


def test_a_pool_of_more_ranks_is_as_much_faster_as_its_efficiency_says() -> None:
    model = ModelConfig(
        name="shapes",
        source="none",
        default_tier=Tier.FAST,
        pools=(
            PoolConfig(
                name="good",
                tiers=("none",),
                num_ranks=4,
                parallelism_config={"ulysses_size": 4},
            ),
            PoolConfig(name="quick", tiers=("fast", "ultra")),
        ),
    )
    fleet = fleet_of(model, efficiency=0.8)
    assert fleet.speeds == {"good": pytest.approx(3.2), "quick": 1.0}
    assert fleet.capacity == pytest.approx(4.2)
    assert fleet.label == "good: 1 replicas of speed 3.2, quick: 1 replicas of speed 1"
    assert fleet_of(model, 0.8, replicas=3).capacity == pytest.approx(12.6)
    trace = parse_trace_name("poisson:C:tier=none").trace(50, fleet.capacity)
    assert run_policy("t", trace, fleet, "fifo", 0).tiers["none"] == 50
    assert_not_served(fleet, "poisson:C:tier=slow", "asks for slow; shapes serves none, fast")


def assert_not_served(fleet: Fleet, name: str, problem: str) -> None:
    trace = parse_trace_name(name).trace(50, fleet.capacity)
    with pytest.raises(ConfigError, match=problem):
        run_policy(name, trace, fleet, "fifo", 0)


@pytest.mark.parametrize("name", ["our", "fifo+", "fifo+best", "ours+fast", "+fast", ""])
def test_a_policy_that_is_not_there_is_told_with_those_that_are(name: str) -> None:
    with pytest.raises(ConfigError, match="Orders: random, round-robin, power-of-two"):
        check_policy_name(name)
