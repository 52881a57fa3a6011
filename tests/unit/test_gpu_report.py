"""What `make test-gpu` writes: a line for each check, with its numbers or what went wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.gpu.report import Check, Recorder, report_text


def told(when: str = "call", fault: str = "", **numbers: Any) -> Any:
    """A report as pytest makes one."""
    return SimpleNamespace(
        when=when,
        failed=bool(fault),
        nodeid="tests/gpu/test_tiers.py::test_a_mask_holds[int8_row]",
        user_properties=list(numbers.items()),
        longrepr=SimpleNamespace(reprcrash=SimpleNamespace(message=fault)) if fault else None,
    )


def test_each_check_is_recorded_once_with_its_numbers() -> None:
    recorder = Recorder()
    for when in ("setup", "call", "teardown"):
        recorder.pytest_runtest_logreport(told(when, steps=18))
    assert list(recorder.checks.values()) == [Check("a mask holds[int8_row]", {"steps": 18})]


def test_a_check_that_fails_before_it_begins_is_recorded_too() -> None:
    recorder = Recorder()
    recorder.pytest_runtest_logreport(told("setup", "ConfigError: no card\nand more"))
    (check,) = recorder.checks.values()
    assert check.fault == "ConfigError: no card"


def test_the_report_says_where_it_was_and_what_was_seen() -> None:
    checks = [Check("one", {"PSNR dB": 40.1, "layers": 3}), Check("two", {}, "assert a | b")]
    text = report_text({"Date": "today", "card": "a card"}, checks)
    assert "Date today; card a card." in text
    assert "1 of 2 checks passed." in text
    assert "| one | passed | PSNR dB 40.1, layers 3 |" in text
    assert r"| two | failed: assert a \| b |  |" in text
