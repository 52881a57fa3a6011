"""Lets a test make a rank fail, from outside: this folder is on its PYTHONPATH.

SIGUSR2 raises MemoryError in its next step. SIGUSR1 spoils a weight for good, so that from the next
on each step gives NaN. SIGRTMIN+1 has torch ask for more memory than there can be, once, in its
next step: the allocator refuses. Python imports this file at start, in every process of the
cluster; it does nothing until then.
"""

import ctypes
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

GIVE_UP_S = 30.0
TOO_MUCH_BYTES = 2**50
"""Eight times what a process of 64-bit Linux can address."""


def _in_a_step(frame: FrameType | None) -> bool:
    """Whether a module's forward runs there, called by the engine."""
    forward = False
    while frame is not None:
        forward = forward or frame.f_code.co_name == "forward"
        if frame.f_code.co_filename.endswith("deployments/engine_diffusers.py"):
            return forward
        frame = frame.f_back
    return False


def _raise(ident: int, frame: FrameType) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(MemoryError))


def _spoil(ident: int, frame: FrameType) -> None:
    _last_layer(frame).weight.data[0, 0] = float("nan")


def _refuse(ident: int, frame: FrameType) -> None:
    def ask_for_too_much(module: Any, arguments: Any) -> None:
        handle.remove()
        module.weight.new_empty(TOO_MUCH_BYTES // module.weight.itemsize)

    handle = _last_layer(frame).register_forward_pre_hook(ask_for_too_much)


def _last_layer(frame: FrameType | None) -> Any:
    """What a step of the transformer ends with."""
    while frame is not None and "pipeline" not in frame.f_locals:
        frame = frame.f_back
    assert frame is not None, "the engine has its pipeline there"
    return frame.f_locals["pipeline"].transformer.proj_out


def _do_in_a_step(action: Callable[[int, FrameType], None]) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        for ident, frame in sys._current_frames().items():
            if _in_a_step(frame):
                action(ident, frame)
                return
        time.sleep(0.001)


def _on(number: int, action: Callable[[int, FrameType], None]) -> None:
    def handle(_: int, __: FrameType | None) -> None:
        threading.Thread(target=_do_in_a_step, args=(action,), daemon=True).start()

    signal.signal(number, handle)


if threading.current_thread() is threading.main_thread():
    _on(signal.SIGUSR2, _raise)
    _on(signal.SIGUSR1, _spoil)
    _on(signal.SIGRTMIN + 1, _refuse)
