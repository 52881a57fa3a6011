"""The table of the embedded model belongs to its config, and the README shows that very table.

`--write-docs` writes it there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.load import load_config
from cluster.measured_tiers import MeasuredTier, TiersTable, why_stale
from cluster.tier_checks import broken_contracts, inversions

README = Path("README.md")
BEGIN, END = "<!-- measured tiers: begin -->\n", "<!-- measured tiers: end -->"
TABLE = Path("configs/demo.tiers.json")
HEADS = ("steps", "tier", "computed", "seconds, median", "95 %", "speed-up", "PSNR, dB", "SSIM")


@pytest.fixture
def table() -> TiersTable:
    return TiersTable.from_json(TABLE.read_text(), str(TABLE))


def cells(row: MeasuredTier) -> tuple[str, ...]:
    return (
        str(row.steps),
        str(row.tier),
        f"{row.steps_computed:g}",
        f"{row.seconds_p50:.3f}",
        f"{row.seconds_p95:.3f}",
        f"{row.speed_up:.2f}",
        "equal" if row.psnr_db is None else f"{row.psnr_db:.1f}",
        f"{row.ssim:.4f}",
    )


def markdown(table: TiersTable) -> str:
    lines = [HEADS, ("---",) * len(HEADS), *(cells(row) for row in table.rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def test_the_demos_table_is_that_of_its_config(table: TiersTable):
    model = load_config(Path("configs/demo.yaml")).models[0]
    assert model.tiers_table == str(TABLE)
    assert why_stale(table, model, model.pools[0], table.platform.versions) is None
    assert {(row.size, row.steps) for row in table.rows} == {("128x128", 28), ("128x128", 50)}


def test_the_demos_tiers_are_in_order_and_hold_their_contracts(table: TiersTable):
    pool = load_config(Path("configs/demo.yaml")).models[0].pools[0]
    assert inversions(table.rows) == []
    assert [
        fault for row in table.rows for fault in broken_contracts(row, pool.tiers[row.tier])
    ] == []


def test_the_readme_shows_the_demos_table(table: TiersTable, pytestconfig: pytest.Config):
    text = README.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    right = f"{head}{BEGIN}\n{markdown(table)}\n{END}{tail}"
    if pytestconfig.getoption("--write-docs"):
        README.write_text(right)
    else:
        assert text == right
