"""What `benchmarks.router` writes follows from what it measured, and docs/router.md is true."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.router_decisions import LongLine
from benchmarks.router_plots import write_plots
from benchmarks.router_sheet import Sheet, markers, write_sheets
from benchmarks.router_simulated import CENTRAL, LOADS, OVERLOAD, POWER_OF_TWO, bar_sheets
from benchmarks.router_sweep import LATE_VARIANTS, TIER_VARIANTS
from benchmarks.router_trace import POOL, ScaledTrace, one_pool
from cluster.config import ClusterConfig
from cluster.job import Job
from cluster.request import parse_request
from cluster.scheduler import Scheduler
from cluster.settling import settle
from cluster.simulator.fleet import equal_replicas
from cluster.simulator.mixes import MIXES, TIER_WORK
from cluster.simulator.policies import OURS
from cluster.simulator.table_costs import TableCosts
from cluster.simulator.traces import simulated_job
from cluster.tiers import Tier
from deployments.openai_api import error_response

TEXT = "poisson:C:load=1.8,tier=auto"
DOCUMENT = Path("docs/router.md").read_text()
LARGEST = MIXES["C"][-1]


def in_document(language: str) -> list[Any]:
    """The blocks of a language in the document, read."""
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    return [yaml.safe_load(block) for block in blocks]


class TestScaledTrace:
    def test_it_is_the_same_trace_in_shorter_seconds(self) -> None:
        full, tenth = (
            list(ScaledTrace(TEXT, scale, replicas=8, requests=50).trace.arrivals(seed=1))
            for scale in (1.0, 0.1)
        )
        for long, short in zip(full, tenth, strict=True):
            assert short.at_s == pytest.approx(0.1 * long.at_s)
            assert long.job.deadline_s is not None
            assert short.job.deadline_s == pytest.approx(0.1 * long.job.deadline_s)
            assert (short.job.width, short.job.min_tier) == (long.job.width, long.job.min_tier)

    def test_its_costs_are_as_short(self) -> None:
        trace = ScaledTrace(TEXT, 0.1, replicas=8, requests=1)
        (arrival,) = trace.trace.arrivals(seed=1)
        forecast = trace.costs.forecast(arrival.job, POOL, Tier.NONE)
        assert arrival.job.deadline_s == pytest.approx(3 * forecast.p50_s)


@pytest.mark.filterwarnings("ignore")  # Ray's own, while it is imported
class TestStandIn:
    def job(self) -> Job:
        return simulated_job(0, LARGEST, "auto", Tier.FAST, 5.0, "accept", "")

    @pytest.mark.parametrize("tier", list(Tier))
    def test_its_stages_take_the_true_seconds_together(self, tier: Tier) -> None:
        from benchmarks.router_stand_in import stand_in_result

        (pool,) = one_pool("any", 1).pools
        result = stand_in_result(self.job(), tier, TableCosts(MIXES["C"], {POOL: 1.0}), pool)
        assert result.engine_s == pytest.approx(LARGEST.none_s * TIER_WORK[tier])
        assert min(result.encode_s, result.denoise_s, result.decode_s) > 0
        assert result.steps_computed + result.steps_cached == LARGEST.steps
        assert (result.steps_cached == 0) == (tier is Tier.NONE)

    def test_a_plain_replica_does_one_job_at_a_time_in_the_tier_of_its_rule(self) -> None:
        from benchmarks.router_stand_in import PlainReplica

        truth = TableCosts([LARGEST], {POOL: 100.0})

        async def two_jobs() -> list[Any]:
            replica = PlainReplica(truth, POOL)
            due_s = time.monotonic() + LARGEST.none_s / 100
            return await asyncio.gather(
                *(replica.generate(self.job(), "fits", due_s + 0.001) for _ in range(2))
            )

        began_s = time.monotonic()
        first, second = asyncio.run(two_jobs())
        took_s = time.monotonic() - began_s
        assert first.tier is Tier.NONE
        assert second.tier is Tier.FAST, "the floor, since the line before it takes its time"
        assert took_s >= first.busy_s + second.busy_s


def test_a_long_line_stays_as_long_as_it_is_and_every_decision_is_timed() -> None:
    line = LongLine(equal_replicas(4), waiting=50)
    for _ in range(20):
        line.one_job()
    line.one_refusal()
    assert {decision: len(took) for decision, took in line.took.items()} == {
        "an admission": 20,
        "a refusal": 1,
        "a dispatch": 20,
    }


class TestSheets:
    SHEET = Sheet("Any", ("a", "b"), [("1", "2")], "What was done.")

    def test_they_replace_what_is_between_their_markers_and_nothing_else(
        self, tmp_path: Path
    ) -> None:
        document = tmp_path / "any.md"
        begin, end = markers("live")
        document.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
        for _ in range(2):
            write_sheets(document, {"live": [self.SHEET]})
        table = "| a | b |\n| --- | --- |\n| 1 | 2 |"
        assert document.read_text() == (
            f"before\n{begin}\nWhat was done.\n\n{table}\n{end}\nafter\n"
        )

    def test_a_document_without_the_markers_is_an_error(self, tmp_path: Path) -> None:
        document = tmp_path / "any.md"
        document.write_text("nothing here\n")
        with pytest.raises(ValueError, match="has no lines"):
            write_sheets(document, {"live": [self.SHEET]})


def run(text: str, policy: str, misses: int, goodput: float) -> dict[str, Any]:
    return {
        "trace": text,
        "policy": policy,
        "requests": 1000,
        "misses": misses,
        "floor_breaches": 0,
        "quality_goodput": goodput,
    }


@pytest.mark.parametrize(("ours", "met"), [(0, "yes"), (10, "yes"), (11, "no")])
def test_a_bar_is_met_when_all_rivals_miss_as_many_times_more(ours: int, met: str) -> None:
    runs = [run(OVERLOAD, OURS, ours, 0.95)]
    runs += [run(OVERLOAD, policy, 900, 0.5) for policy in POWER_OF_TWO[1:]]
    runs += [run(OVERLOAD, POWER_OF_TWO[0], 80, 0.5), run(OVERLOAD, CENTRAL[1], 5, 0.95)]
    (sheet,) = bar_sheets({"replicas": 8, "requests": 1000, "seeds": 1, "runs": runs})
    rows = {row[0]: row for row in sheet.rows}
    assert rows[f"`{OVERLOAD}`: fewer misses than `{POWER_OF_TWO[0]}`"][-1] == met


def test_plots_of_equal_numbers_are_equal_files(tmp_path: Path) -> None:
    runs = [
        {"load": load, "policy": policy, "attainment": 1 / load, "quality_goodput": 0.9 / load}
        for load in LOADS
        for policy in (OURS, *CENTRAL, *POWER_OF_TWO)
    ]
    one, other = (write_plots({"runs": runs}, tmp_path / folder) for folder in ("one", "other"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_every_number_of_the_policy_is_tried_as_it_is_and_kept() -> None:
    before = {
        variant.name: getattr(variant.module, variant.name)
        for variant in (*TIER_VARIANTS, *LATE_VARIANTS)
    }
    for variant in (*TIER_VARIANTS, *LATE_VARIANTS):
        with variant.in_force():
            assert getattr(variant.module, variant.name) == variant.value
        assert getattr(variant.module, variant.name) == before[variant.name]
    chosen = [v.name for v in (*TIER_VARIANTS, *LATE_VARIANTS) if v.chosen]
    assert sorted(chosen) == sorted(before)


class TestDocument:
    @pytest.mark.filterwarnings("ignore")  # Ray's own, while it is imported
    def test_it_has_a_place_for_every_part(self) -> None:
        from benchmarks.router import PARTS

        for part in PARTS:
            begin, end = markers(part)
            assert 0 < DOCUMENT.index(begin) < DOCUMENT.index(end)

    def test_its_pools_are_right(self) -> None:
        (example,) = in_document("yaml")
        model = {"name": "example", "source": "someones/pipeline", "default_tier": "none"}
        ClusterConfig.model_validate({"models": [model | example]})

    def test_its_request_is_refused_as_it_says_while_a_long_job_runs(self) -> None:
        request, refusal = in_document("json")
        model = one_pool("simulated", 1)
        scheduler = Scheduler(model, TableCosts(MIXES["C"], {POOL: 1.0}))
        scheduler.replicas_changed(POOL, ["replica"], 0.0)
        long = simulated_job(0, LARGEST, "none", None, None, "refuse", "")
        assert scheduler.arrive(long, 0.0) is None
        assert scheduler.next_dispatch(0.0) is not None
        fields = request | {"num_inference_steps": 25}
        _, job = settle(parse_request(fields), ClusterConfig(models=(model,)), "1", seed=0)
        error = scheduler.arrive(job, 4.0)
        assert error is not None
        status, body, headers = error_response(error)
        assert (status, "Retry-After" in headers) == (429, True)
        assert body == refusal
