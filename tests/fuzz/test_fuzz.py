"""A short run of what `make fuzz` does for longer: no input is more than refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.fuzz.config_files import try_configs
from tests.fuzz.gateway_app import closed_app, target
from tests.fuzz.http_bytes import try_bytes, try_without_key
from tests.fuzz.http_cases import operations_of, try_operation
from tests.fuzz.picture_bytes import sound_files, try_pictures
from tests.fuzz.report import table
from tests.fuzz.request_fields import try_bodies
from tests.fuzz.trials import Tried, tried

SEED = 8
LONGEST_MS = 5_000.0
GROWN_MB = 400.0


def test_every_operation_answers_as_documented_and_the_gateway_stays_well(tmp_path: Path) -> None:
    with target(tmp_path) as gateway:
        operations = operations_of(gateway)
        assert len(operations) == 15
        for name, operation in operations.items():
            trial = try_operation(gateway, operation, 30, SEED)
            assert set(trial.outcomes) - {"400"}, name
            gateway.is_well()
        requests = try_bytes(gateway, 300, SEED)
    assert {"200", "400", "404", "405"} <= set(requests.outcomes)


def test_without_a_key_nothing_but_pages_and_signs_of_life_is_had(tmp_path: Path) -> None:
    with closed_app(tmp_path) as app:
        trial = try_without_key(app, 200, SEED)
    assert {"200", "401", "404"} <= set(trial.outcomes)
    assert not {"400", "403"} & set(trial.outcomes)


def test_a_body_settles_within_the_limits_or_is_refused_in_a_sentence(tmp_path: Path) -> None:
    assert set(try_bodies(tmp_path, 400, SEED).outcomes) == {"refused", "settled"}


def test_a_file_is_a_config_or_refused_line_by_line(tmp_path: Path) -> None:
    assert set(try_configs(tmp_path, 150, SEED).outcomes) == {"config", "refused"}


def test_a_picture_is_decoded_within_its_bounds_or_refused() -> None:
    assert len(set(sound_files())) == 19
    trial = try_pictures(400, SEED)
    assert set(trial.outcomes) == {"decoded", "refused"}
    assert trial.worst_ms < LONGEST_MS
    assert trial.grown_mb < GROWN_MB


def test_a_fault_is_raised_with_the_input_that_makes_it() -> None:
    def outcome(number: int) -> str:
        assert number < 10
        return "small"

    with pytest.raises(AssertionError) as found:
        tried("numbers", st.integers(), outcome, 1000, SEED)
    assert "one(" in "".join(found.value.__notes__)


def test_the_report_counts_the_inputs() -> None:
    trial = Tried("GET /x", 1200, {"200": 1000, "404": 200}, 3.4, 12.3, 0.4)
    text = table({"date": "2027-01-31"}, [trial, trial])
    assert "2,400 inputs in 7 seconds, and no fault. Date 2027-01-31.\n" in text
    assert "| GET /x | 1,200 | 200: 1,000, 404: 200 | 12 | 0 |" in text
