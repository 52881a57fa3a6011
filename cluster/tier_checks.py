"""Whether measured tiers are what they are called: contracts, and the order among tiers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

from cluster.measured_tiers import MeasuredTier
from cluster.pool import TierConfig

SPEED_NOISE = 0.03
"""Share by which the quartiles of two speed-ups must lie apart: fewer rounds than a dozen do not
settle less."""

PSNR_NOISE_DB = 0.5
"""A difference of medians that nobody sees."""


@dataclass(frozen=True, slots=True)
class BrokenContract:
    """A tier that holds less than its config says: speed-up over `none`, or dB."""

    row: MeasuredTier
    what: str
    wanted: float
    found: float

    def __str__(self) -> str:
        return (
            f"{self.row.name}, tier {self.row.tier}: {self.what} is {self.found:.3g}, "
            f"less than the {self.wanted:g} of its contract"
        )


@dataclass(frozen=True, slots=True)
class Inversion:
    """Two neighbours that measurement turns round: the better one is beaten in what it is for."""

    better: MeasuredTier
    faster: MeasuredTier
    reason: str

    def __str__(self) -> str:
        return f"{self.better.name}: {self.reason}"


def broken_contracts(row: MeasuredTier, tier: TierConfig) -> Iterator[BrokenContract]:
    """What a row does not hold of its tier's contract."""
    if tier.min_speedup is not None and row.speed_up < tier.min_speedup:
        yield BrokenContract(row, "min_speedup", tier.min_speedup, row.speed_up)
    if tier.min_psnr_db is not None and row.psnr_db is not None and row.psnr_db < tier.min_psnr_db:
        yield BrokenContract(row, "min_psnr_db", tier.min_psnr_db, row.psnr_db)


def inversions(rows: Iterable[MeasuredTier]) -> list[Inversion]:
    """Neighbouring tiers of the same work that are out of order by more than noise.

    Speed counts as turned round where even the upper quartile of the faster tier lies `SPEED_NOISE`
    below the lower quartile of the better one; PSNR where the faster tier's median is more than
    `PSNR_NOISE_DB` above. PSNR of equal pictures is infinite.
    """
    found: list[Inversion] = []
    for _, same_work in groupby(sorted(rows, key=_work), key=_work):
        in_order = sorted(same_work, key=lambda row: row.tier.rank)
        for better, faster in pairwise(in_order):
            if faster.speed_up_q75 * (1 + SPEED_NOISE) < better.speed_up_q25:
                reason = (
                    f"{faster.tier} ({faster.speed_up:.2f}x) is slower than {better.tier} "
                    f"({better.speed_up:.2f}x)"
                )
                found.append(Inversion(better, faster, reason))
            if _psnr_db(faster) > _psnr_db(better) + PSNR_NOISE_DB:
                reason = (
                    f"{better.tier} ({_shown(better)}) is less faithful than {faster.tier} "
                    f"({_shown(faster)})"
                )
                found.append(Inversion(better, faster, reason))
    return found


def _work(row: MeasuredTier) -> tuple[str, str, int, int, int, int, bool]:
    size = row.width, row.height, row.num_frames or 0
    return row.model, row.pool, *size, row.steps, row.guided


def _psnr_db(row: MeasuredTier) -> float:
    return float("inf") if row.psnr_db is None else row.psnr_db


def _shown(row: MeasuredTier) -> str:
    return "equal to none" if row.psnr_db is None else f"{row.psnr_db:.1f} dB"
