"""A job that gives no sign of life is noticed, one that moves is not."""

from __future__ import annotations

import threading
import time

from deployments.pulse import Pulse


def test_a_job_that_moves_is_left_alone_and_its_longest_silence_known() -> None:
    hung: list[str] = []
    with Pulse(5.0, hung.append) as pulse:
        for step in range(1, 8):
            time.sleep(0.1)
            assert pulse.boundary(step, 7)
    assert hung == []
    assert 0.1 <= pulse.longest_s < 5.0


def test_being_asked_again_without_progress_is_no_sign_of_life() -> None:
    hung = threading.Event()
    with Pulse(0.3, lambda reason: hung.set()) as pulse:
        give_up = time.monotonic() + 10
        while not hung.wait(0.05):
            pulse.boundary(1, 7)
            assert time.monotonic() < give_up


def test_the_reason_says_how_long_it_was_silent_and_may_be() -> None:
    told: list[str] = []
    with Pulse(0.2, told.append):
        time.sleep(0.6)
    (reason,) = told
    assert "0.2 s are allowed" in reason


def test_a_stopped_job_is_told_at_its_boundary() -> None:
    with Pulse(10, print) as pulse:
        assert pulse.boundary(1, 7)
        pulse.stop()
        assert not pulse.boundary(2, 7)
