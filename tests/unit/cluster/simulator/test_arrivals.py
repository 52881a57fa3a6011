"""Arrivals have the rate and the burstiness that they are made for. Tolerances are 4 sigma."""

from __future__ import annotations

import math
import statistics
from itertools import islice, pairwise
from random import Random

import pytest

from cluster.simulator.arrivals import ArrivalProcess, Day, Gamma, Poisson

COUNT = 40_000
RATE = 2.5


def times(process: ArrivalProcess, seed: int = 1) -> list[float]:
    return list(islice(process.times(RATE, Random(seed)), COUNT))


@pytest.mark.parametrize(
    ("process", "cv"), [(Poisson(), 1.0), (Gamma(2.0), 2.0), (Gamma(4.0), 4.0), (Gamma(8.0), 8.0)]
)
def test_gaps_have_the_mean_and_the_variation_that_were_asked_for(
    process: ArrivalProcess, cv: float
) -> None:
    gaps = [later - earlier for earlier, later in pairwise([0.0, *times(process)])]
    mean_s = statistics.fmean(gaps)
    assert mean_s == pytest.approx(1 / RATE, rel=4 * cv / math.sqrt(COUNT))
    # The kurtosis of a gamma variable is 3 + 6 cv^2, and a sample variance of N values has the
    # relative variance (kurtosis - 1) / N, of which its root has half the relative error.
    sigma = math.sqrt((2 + 6 * cv**2) / COUNT) / 2
    assert statistics.pstdev(gaps) / mean_s == pytest.approx(cv, rel=4 * sigma)


def test_a_day_has_its_mean_rate_and_more_arrivals_in_its_first_half() -> None:
    day = Day(period_s=400.0, swing=0.8)
    found = times(day)
    whole_days_s = found[-1] // day.period_s * day.period_s
    within = [at_s for at_s in found if at_s < whole_days_s]
    assert len(within) / whole_days_s == pytest.approx(RATE, rel=4 / math.sqrt(len(within)))
    # The sine's mean over its first half is 2 / pi.
    share = 0.5 + day.swing / math.pi
    early = sum(at_s % day.period_s < day.period_s / 2 for at_s in within) / len(within)
    assert early == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / len(within)))


@pytest.mark.parametrize("process", [Poisson(), Gamma(4.0), Day()], ids=repr)
def test_times_rise_and_a_seed_repeats_them(process: ArrivalProcess) -> None:
    found = times(process)
    assert found == sorted(found)
    assert found == times(process)
    assert found != times(process, seed=2)
