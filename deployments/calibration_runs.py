"""The two kinds of runs of `dit-serve calibrate`, from the config to what is shown and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cluster.acceleration import CacheConfig
from cluster.config import ClusterConfig, ModelConfig
from cluster.errors import ConfigError
from cluster.measured_tiers import MeasuredTier, Platform
from cluster.pool import PoolConfig
from cluster.tier_checks import broken_contracts, inversions
from cluster.tier_search import grid, proposals
from cluster.tiers import Tier
from deployments.calibrate import (
    Stepped,
    identity,
    make_pictures,
    pictures_left,
    platform_of,
    summed_up,
    table_of,
)
from deployments.calibration_journal import Journal
from deployments.calibration_plan import Asked, Work, planned
from deployments.calibration_table import proposal_table, tables_of
from deployments.frontier_plot import frontier_plot
from deployments.generate import load_judge
from deployments.learned_scores import LearnedScore
from deployments.picture_scores import Scores
from deployments.progress import calibration_progress
from deployments.search_tiers import fragment, search_arms
from deployments.terminal import out


@dataclass(frozen=True)
class Calibration:
    """What is to be measured, and towards which file."""

    config: ClusterConfig
    chosen: Sequence[tuple[ModelConfig, PoolConfig]]
    asked: Asked
    learned: Mapping[str, LearnedScore]
    target: Path
    fresh: bool

    def measured(
        self, work: Sequence[Work]
    ) -> tuple[Journal, Platform, list[tuple[Work, list[MeasuredTier]]]]:
        """The rows of every work, one per arm; the journal still has all that they come from.

        Raises:
            ConfigError: the journal is another calibration's, or an engine or a judge cannot be
                loaded.
        """
        scores = [Scores(load_judge(each.model.judge), self.learned) for each in work]
        platform = platform_of(work)
        began = identity(work, self.asked, platform)
        journal = Journal(self.target, began, fresh=self.fresh)
        with calibration_progress(out, pictures_left(work, journal)) as begin:
            make_pictures(work, self.asked.seed, journal, begin)
        pictures = sum(len(each.arms) * len(each.jobs) for each in work)
        with calibration_progress(out, pictures) as begin:
            scored = partial(_scored, begin)
            found = [
                (each, list(summed_up(each, journal, its_scores, scored)))
                for each, its_scores in zip(work, scores, strict=True)
            ]
        return journal, platform, found


def report_table(run: Calibration, plot: Path | None) -> bool:
    """Measures the tiers, shows and writes their table; whether every contract holds."""
    work = planned(run.config, run.chosen, run.asked)
    journal, platform, found = run.measured(work)
    table = table_of(work, platform, [row for _, rows in found for row in rows])
    run.target.write_text(table.to_json(), encoding="utf-8")
    if plot is not None:
        drawing = frontier_plot(table.rows, f"{platform.device}, {table.made_at[:10]}")
        plot.write_text(drawing, encoding="utf-8")
    for shown in tables_of(table.rows):
        out.print(shown)
    for inversion in inversions(table.rows):
        _say(f"out of order: {inversion}")
    pools = {(model.name, pool.name): pool for model, pool in run.chosen}
    broken = [
        fault
        for row in table.rows
        for fault in broken_contracts(row, pools[row.model, row.pool].tiers[row.tier])
    ]
    for fault in broken:
        _say(f"contract broken: {fault}")
    journal.remove()
    return not broken


def report_search(
    run: Calibration,
    wanted_psnr_db: Mapping[Tier, float],
    settings: Sequence[CacheConfig] | None = None,
) -> bool:
    """Tries the settings of the grid and writes those it proposes; whether every tier has some.

    Raises:
        ConfigError: more than one pool, size or number of steps: a pool has one set of tiers.
    """
    tried = grid() if settings is None else settings
    if len(run.chosen) > 1:
        raise ConfigError("--search: one pool at a time: give --model and --pool")
    ((_, pool),) = run.chosen
    work = planned(run.config, run.chosen, run.asked, search_arms(pool, tried))
    if len(work) > 1:
        raise ConfigError("--search: one size and one number of steps at a time")
    journal, platform, ((each, rows),) = run.measured(work)
    proposed = proposals(zip(tried, rows[1:], strict=True), wanted_psnr_db)
    text = fragment(proposed, each, platform)
    run.target.write_text(text, encoding="utf-8")
    out.print(proposal_table(proposed))
    out.print(text, highlight=False, markup=False, soft_wrap=True)
    journal.remove()
    return all(proposal.cache is not None for proposal in proposed)


def _scored(begin: Callable[[str], Stepped]) -> None:
    begin("comparing with none")(1, 1)


def _say(line: str) -> None:
    out.print(line, highlight=False, markup=False, soft_wrap=True)
