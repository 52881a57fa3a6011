"""SIGTERM for a process whose main thread is not in Python: it finishes what it has, and ends."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, ctypes, threading
from deployments.termination import Underway, on_sigterm

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()

async def work(underway):
    with underway.one():
        print("began", flush=True)
        await asyncio.sleep(0.5)
        print("finished", flush=True)

async def begin():
    underway = Underway(loop)
    on_sigterm(loop, underway.idle)
    loop.create_task(work(underway))

asyncio.run_coroutine_threadsafe(begin(), loop)
libc = ctypes.CDLL(None)
while True:
    libc.sleep(60)
"""


@pytest.mark.timeout(60)
def test_it_finishes_what_it_has_and_ends() -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        process.send_signal(signal.SIGTERM)
        told, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert told == "finished\n"
    assert process.returncode == 0
    assert "SIGTERM: this process ends when it has nothing under way" in errors
