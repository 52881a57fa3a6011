"""A calibration that was stopped goes on where it was, and is not mixed with another."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import ConfigError
from cluster.tier_samples import Timing
from deployments.calibration_journal import Journal

IDENTITY = {"device": "card", "prompts": ["a", "b"], "seed": 0}
TIMING = Timing(0.1, 0.2, 0.3, 4, 5, None)


def opened(folder: Path, *, fresh: bool = False, **changes: object) -> Journal:
    return Journal(folder / "t.json", IDENTITY | changes, fresh=fresh)


def test_what_was_measured_is_there_for_the_next_run(tmp_path: Path):
    opened(tmp_path).keep("a", TIMING, b"picture")
    again = opened(tmp_path)
    assert again.timings == {"a": TIMING}
    assert again.picture("a") == b"picture"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"device": "other"}, 'another device: "card" there, "other" here'),
        ({"prompts": ["a"]}, "another prompts"),
        ({"seed": 1}, "another seed: 0 there, 1 here"),
    ],
)
def test_another_calibrations_journal_is_refused(
    tmp_path: Path, change: dict[str, object], told: str
):
    opened(tmp_path).keep("a", TIMING, b"picture")
    with pytest.raises(ConfigError) as refused:
        opened(tmp_path, **change)
    assert told in str(refused.value)
    assert "--fresh" in str(refused.value)


def test_fresh_begins_anew_whatever_was_there(tmp_path: Path):
    opened(tmp_path).keep("a", TIMING, b"picture")
    assert opened(tmp_path, fresh=True, seed=1).timings == {}
    assert opened(tmp_path, seed=1).timings == {}


def test_a_line_that_a_kill_cut_short_is_measured_again(tmp_path: Path):
    journal = opened(tmp_path)
    journal.keep("a", TIMING, b"picture")
    journal.keep("b", TIMING, b"picture")
    lines = journal.folder / "journal.jsonl"
    lines.write_bytes(lines.read_bytes()[:-10])
    again = opened(tmp_path)
    assert list(again.timings) == ["a"]
    again.keep("b", TIMING, b"picture")
    assert list(opened(tmp_path).timings) == ["a", "b"]


def test_a_kill_before_the_first_whole_line_leaves_nothing_to_go_on_from(tmp_path: Path):
    journal = opened(tmp_path)
    (journal.folder / "journal.jsonl").write_text('{"dev')
    assert opened(tmp_path, seed=1).timings == {}
    assert opened(tmp_path, seed=1).timings == {}


def test_nothing_is_left_in_the_end(tmp_path: Path):
    opened(tmp_path).remove()
    assert list(tmp_path.iterdir()) == []
