"""How `dit-serve up` knows that Serve runs, without asking it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from deployments.launch import has_controller

SLEEPS = "import time; time.sleep(60)"


@pytest.mark.parametrize(
    ("name", "is_one"), [("ray::ServeController", True), ("ray::ProxyActor", False)]
)
def test_a_controller_is_known_by_its_name_and_its_session_and_gone_when_it_dies(
    name: str, is_one: bool
) -> None:
    command = [name, "-c", SLEEPS]
    child = subprocess.Popen(command, executable=sys.executable, start_new_session=True)
    try:
        give_up = time.monotonic() + 10
        while has_controller(child.pid) is not is_one and time.monotonic() < give_up:
            time.sleep(0.01)
        assert has_controller(child.pid) is is_one
        assert not has_controller(child.pid + 1)
    finally:
        child.kill()
        child.wait()
    assert not has_controller(child.pid)
