"""When the answers of the ranks show that their group is out of step."""

from __future__ import annotations

import pytest

from cluster.errors import EngineFailed, InvalidRequest
from deployments.engine import EngineResult

DONE = EngineResult((), 1, 0, (), 0.0, 0.0, 0.0)
FAILED = EngineFailed("out of memory")
WRONG = InvalidRequest("size: too odd")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("answers", "out"),
    [
        ([DONE, DONE], False),
        ([DONE, FAILED], True),
        ([DONE, DONE, FAILED, DONE], True),
        ([FAILED, FAILED], False),
        ([FAILED, DONE], False),
        ([WRONG, WRONG], False),
    ],
    ids=["done", "one failed", "one of four failed", "all failed", "decoding failed", "all refuse"],
)
def test_a_group_is_out_of_step_when_a_rank_failed_without_rank_0(
    answers: list[EngineResult | EngineFailed | InvalidRequest], out: bool
) -> None:
    from deployments.rank_group import out_of_step

    assert out_of_step(answers) is out
