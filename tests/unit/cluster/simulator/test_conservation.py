"""Whatever the policy: everyone ends once, no replica does two jobs at once, no floor is broken."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.config import ModelConfig
from cluster.pool import PoolConfig
from cluster.simulator.fleet import Fleet, FleetChange, replica_names
from cluster.simulator.policies import JOINS, ORDERS
from cluster.simulator.results import Tally
from cluster.simulator.tier_rules import RULES
from cluster.tiers import Tier
from tests.unit.cluster.simulator.schedule import Asked, simulation_of

MODEL = ModelConfig(
    name="two-pools",
    source="none",
    default_tier=Tier.FAST,
    pools=(
        PoolConfig(name="good", tiers=("none", "slow", "medium")),
        PoolConfig(name="quick", tiers=("medium", "fast", "ultra")),
    ),
)
SPEEDS = {"good": 1.7, "quick": 1.0}

TIMES_S = st.integers(0, 30).map(float)
SECONDS = st.integers(1, 6)
DEADLINES_S = st.none() | st.integers(1, 30).map(float)
NAMED = st.builds(Asked, TIMES_S, SECONDS, DEADLINES_S, st.sampled_from([str(t) for t in Tier]))
AUTO = st.builds(
    Asked, TIMES_S, SECONDS, DEADLINES_S, st.just("auto"), st.none() | st.sampled_from(list(Tier))
)
REQUESTS = st.lists(NAMED | AUTO, min_size=1, max_size=25).map(
    lambda asked: sorted(asked, key=lambda each: each.at_s)
)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Two pools whose replicas come and go; in the end two of each run."""
    found = []
    for pool in SPEEDS:
        first, last = 0, 0
        for at_s in (0.0, 10.0, 20.0, 40.0):
            first = draw(st.integers(first, last))
            last = first + 2 if at_s == 40.0 else draw(st.integers(max(first, last), last + 2))
            found.append(FleetChange(at_s, pool, replica_names(pool, range(first, last))))
    return Fleet(MODEL, SPEEDS, tuple(found))


@pytest.mark.parametrize("order", [*JOINS, *ORDERS, "ours"])
@settings(max_examples=60)
@given(asked=REQUESTS, fleet=fleets(), rule=st.sampled_from(sorted(RULES)))
def test_every_policy_keeps_the_books(
    order: str, asked: list[Asked], fleet: Fleet, rule: str
) -> None:
    policy = order if order == "ours" else f"{order}+{rule}"
    simulation = simulation_of(policy, asked, fleet)
    tally = Tally()
    done = list(simulation.outcomes())
    for outcome in done:
        tally.add(outcome)
    ended = Counter(outcome.arrival.job.request_id for outcome in done)
    assert ended == Counter(str(number) for number in range(len(asked)))
    assert all(outcome.refusal or outcome.dispatch for outcome in done)
    served = [outcome for outcome in done if outcome.dispatch]
    assert all(each.arrival.at_s <= each.started_s < each.finished_s for each in served)
    assert all(one.finished_s <= other.finished_s for one, other in pairwise(served))
    by_replica: dict[str, list[tuple[float, float]]] = {}
    for outcome in served:
        assert outcome.dispatch is not None
        spans = by_replica.setdefault(outcome.dispatch.replica, [])
        spans.append((outcome.started_s, outcome.finished_s))
    for spans in by_replica.values():
        assert all(one[1] <= other[0] for one, other in pairwise(sorted(spans)))
    result = tally.result("trace", policy, 0, simulation.replica_s)
    assert result.floor_breaches == 0
    assert 0 <= result.utilisation <= 1 + 1e-9
    assert result.in_time + result.misses == len(asked)
