"""What the answers of a group's ranks show together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.errors import DitServeError, EngineFailed, InvalidRequest, OutputCorrupt
from deployments.engine import DeviceMemory, EngineResult

DONE = EngineResult((), 1, 0, (), 0.0, 0.0, 0.0)
FAILED = EngineFailed("out of memory")
WRONG = InvalidRequest("size: too odd")
CORRUPT = OutputCorrupt("corrupt output in tier fast: a picture is black all over")


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
        ([CORRUPT, DONE], False),
        ([CORRUPT, FAILED], True),
    ],
    ids=[
        "done",
        "one failed",
        "one of four failed",
        "all failed",
        "decoding failed",
        "all refuse",
        "corrupt",
        "corrupt and one failed",
    ],
)
def test_a_group_is_out_of_step_when_a_rank_failed_without_rank_0(
    answers: list[EngineResult | DitServeError], out: bool
) -> None:
    from deployments.rank_group import out_of_step

    assert out_of_step(answers) is out


@pytest.mark.filterwarnings("ignore")
def test_the_memory_of_a_group_is_that_of_its_fullest_rank() -> None:
    from deployments.rank_group import most_memory

    fuller = DeviceMemory(used=7, total=10)
    answers = [replace(DONE, memory=DeviceMemory(used=3, total=10)), replace(DONE, memory=fuller)]
    assert most_memory(answers) == fuller
    assert most_memory([DONE, WRONG]) is None
