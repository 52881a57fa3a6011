"""What a job costs on each pool, when it is due, and how pools share it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import ModelConfig
from cluster.late import LateLine
from cluster.pool_line import PoolLine
from cluster.pricing import Pricing
from cluster.queue import Offer
from tests.unit.cluster.jobs import job
from tests.unit.cluster.pools import FAST, MEDIUM, NONE, SLOW, ULTRA, TableCosts, model_of, pool

TWO = model_of(pool("one", [NONE, MEDIUM, ULTRA]), pool("eight", [NONE, SLOW], ranks=8))
SPEEDS = {"eight": 4.0}


def pricing(model: ModelConfig = TWO, costs: TableCosts | None = None, **replicas: int) -> Pricing:
    lines = {each.name: PoolLine(each, LateLine()) for each in model.pools}
    for name, count in replicas.items():
        lines[name].replicas.changed([str(number) for number in range(count)])
    return Pricing(model, costs or TableCosts(SPEEDS), lines)


def test_every_pool_offers_the_acceptable_tiers_that_it_serves_and_its_shortest_work():
    it = pricing().priced(job(min_tier=ULTRA), 0.0, 1)
    assert it.offers == {
        "one": Offer((NONE, MEDIUM, ULTRA), 2.0),
        "eight": Offer((NONE, SLOW), 1.5),
    }


def test_a_pool_that_serves_no_acceptable_tier_offers_nothing():
    assert set(pricing().priced(job(tier_requested="slow"), 0.0, 1).offers) == {"eight"}


@pytest.mark.parametrize(
    ("wish", "due_s"),
    [
        ({}, 3 * 4.0),
        ({"min_tier": NONE}, 3 * 2.0),
        ({"min_tier": ULTRA}, 3 * 4.0),
        ({"tier_requested": "none"}, 3 * 2.0),
        ({"tier_requested": "ultra"}, 3 * 2.0),
        ({"tier_requested": "none", "min_tier": SLOW}, 3 * 1.5),
        ({"deadline_s": 7.0}, 7.0),
    ],
)
def test_without_a_deadline_it_is_three_times_the_forecast_in_the_usual_tier_on_the_quickest_pool(
    wish: dict[str, object], due_s: float
):
    assert pricing(one=1, eight=1).priced(job(**wish), 100.0, 1).due_s == 100.0 + due_s


def test_the_factor_is_the_models():
    model = model_of(pool("p"), default_slo_factor=1.5)
    assert pricing(model, p=1).priced(job(), 0.0, 1).due_s == 1.5 * 4.0


def test_where_no_replica_runs_the_time_to_load_one_is_added():
    model = model_of(pool("p", load_s=30.0))
    assert pricing(model).priced(job(), 0.0, 1).due_s == 30.0 + 3 * 4.0
    assert pricing(model).priced(job(deadline_s=7.0), 0.0, 1).due_s == 7.0


@pytest.mark.parametrize(
    ("deadline_s", "late", "promised"),
    [(None, "refuse", False), (9.0, "refuse", True), (9.0, "accept", False)],
)
def test_a_promise_is_a_deadline_of_a_caller_that_does_not_accept_to_be_late(
    deadline_s: float | None, late: str, promised: bool
):
    assert pricing().priced(job(deadline_s=deadline_s, late=late), 0.0, 1).promised is promised


@pytest.mark.parametrize("measured", [False, True])
def test_a_job_is_measured_where_all_its_forecasts_are(measured: bool):
    it = pricing(costs=TableCosts(measured=measured))
    assert it.priced(job(), 0.0, 1).measured is measured


@pytest.mark.parametrize(
    ("spread", "deadline_s", "share"),
    [(1.0, 9.0, 1.0), (1.25, 1.0, 1 / 1.25), (1.25, 8.0, 1 / 1.125), (1.25, 200.0, 1 / 1.025)],
)
def test_less_than_all_time_is_promised_where_work_varies_and_the_less_the_fewer_jobs_fit(
    spread: float, deadline_s: float, share: float
):
    it = pricing(model_of(pool("p")), TableCosts(spread=spread), p=1)
    waiting = it.priced(job(deadline_s=deadline_s), 100.0, 1)
    assert it.sure_share(waiting, 100.0) == pytest.approx(share)


@pytest.mark.parametrize(
    ("level", "seconds"),
    [
        (NONE, {"one": 8.0, "eight": 2.0}),
        (SLOW, {"eight": 1.5}),
        (FAST, {"one": 2.0}),
    ],
)
def test_at_a_level_it_is_the_best_tier_that_is_not_better(
    level: object, seconds: dict[str, float]
):
    it = pricing()
    offers = it.priced(job(min_tier=ULTRA), 0.0, 1).offers
    assert it.at_level(job(), offers, level) == seconds


def test_where_all_acceptable_tiers_are_better_than_the_level_it_is_the_least_of_them():
    it = pricing()
    offers = it.priced(job(min_tier=SLOW), 0.0, 1).offers
    assert it.at_level(job(), offers, ULTRA) == {"eight": 1.5}


def test_two_pools_share_a_job_in_proportion_to_what_they_can_do():
    parts_s = pricing(one=2, eight=1).parts_s({"one": 8.0, "eight": 2.0})
    assert parts_s == {"one": pytest.approx(8 / 3), "eight": pytest.approx(4 / 3)}


def test_a_pool_without_replicas_has_no_part_beside_one_that_runs():
    assert pricing(one=2).parts_s({"one": 8.0, "eight": 2.0}) == {"one": 8.0}


def test_where_none_runs_each_pool_counts_with_the_replica_that_would_be_started():
    parts_s = pricing().parts_s({"one": 6.0, "eight": 3.0})
    assert parts_s == {"one": pytest.approx(2.0), "eight": pytest.approx(2.0)}


@given(
    st.dictionaries(st.sampled_from(["one", "eight"]), st.floats(0.01, 1000), min_size=1),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_the_parts_make_up_one_whole_job_and_keep_all_replicas_busy_equally_long(
    seconds: dict[str, float], ones: int, eights: int
):
    it = pricing(one=ones, eight=eights)
    parts_s = it.parts_s(seconds)
    counts = {"one": ones, "eight": eights}
    running = any(counts[name] for name in seconds)
    assert sum(part_s / seconds[name] for name, part_s in parts_s.items()) == pytest.approx(1.0)
    shares_s = [parts_s[name] / (counts[name] if running else 1) for name in parts_s]
    assert shares_s == pytest.approx([shares_s[0]] * len(shares_s))
