"""What `benchmarks.previews` says follows from what it measured."""

from __future__ import annotations

import pytest
from rich.console import Console

from benchmarks.previews import Run, summary, table
from cluster.tiers import Tier


def runs(with_previews_s: float, *, shown: int = 2) -> list[Run]:
    """Three rounds of one tier; the second is twice as slow for both arms."""
    return [
        Run(
            round=number,
            tier="none",
            steps=28,
            wanted=wanted,
            denoise_s=seconds * slow,
            processor_s=seconds,
            nearness_db=(24.0, 26.0)[:shown] if wanted else (),
            load_average=1.5,
        )
        for number, slow in ((1, 1.0), (2, 2.0), (3, 1.0))
        for wanted, seconds in ((0, 1.0), (3, with_previews_s))
    ]


def test_a_tier_is_summed_up_over_its_rounds() -> None:
    found = summary(runs(1.04), Tier.NONE)
    assert found["ratio_of_medians"] == pytest.approx(1.04)
    assert found["median_of_ratios"] == pytest.approx(1.04)
    assert found["processor_ratio"] == pytest.approx(1.04)
    assert (found["denoise_s"], found["previews_shown"], found["nearness_db"]) == (1.0, 2, 25.0)


@pytest.mark.parametrize(("with_previews_s", "held"), [(1.05, "yes"), (1.06, "no")])
def test_the_table_says_whether_the_bar_was_held(with_previews_s: float, held: str) -> None:
    console = Console(width=140)
    with console.capture() as shown:
        console.print(table(runs(with_previews_s)))
    (row,) = [line for line in shown.get().splitlines() if line.strip().startswith("none")]
    assert row.split()[-1] == held


def test_a_tier_that_showed_none_has_no_nearness() -> None:
    assert summary(runs(1.0, shown=0), Tier.NONE)["nearness_db"] is None
