"""Lets a test make a rank raise: on its PYTHONPATH, SIGUSR2 raises MemoryError in its next step.

Python imports this file at start, in every process of the cluster; it does nothing until then.
"""

import ctypes
import signal
import sys
import threading
import time
from types import FrameType

GIVE_UP_S = 30.0


def _in_a_step(frame: FrameType | None) -> bool:
    """Whether a module's forward runs there, called by the engine."""
    forward = False
    while frame is not None:
        forward = forward or frame.f_code.co_name == "forward"
        if frame.f_code.co_filename.endswith("deployments/engine_diffusers.py"):
            return forward
        frame = frame.f_back
    return False


def _raise_in_a_step() -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        for ident, frame in sys._current_frames().items():
            if _in_a_step(frame):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(ident), ctypes.py_object(MemoryError)
                )
                return
        time.sleep(0.001)


def _raise(number: int, _: FrameType | None) -> None:
    threading.Thread(target=_raise_in_a_step, daemon=True).start()


if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGUSR2, _raise)
