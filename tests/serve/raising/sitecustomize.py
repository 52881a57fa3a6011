"""Lets a test make a rank raise: on its PYTHONPATH, SIGUSR2 raises MemoryError where it works.

Python imports this file at start, in every process of the cluster; it does nothing until then.
"""

import ctypes
import signal
import sys
import threading
from types import FrameType


def _works(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.endswith("deployments/engine_diffusers.py"):
            return True
        frame = frame.f_back
    return False


def _raise(number: int, _: FrameType | None) -> None:
    for ident, frame in sys._current_frames().items():
        if _works(frame):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(ident), ctypes.py_object(MemoryError)
            )


if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGUSR2, _raise)
