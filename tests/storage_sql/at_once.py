"""Runs the same in threads or in processes that all begin at one moment."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

Result = TypeVar("Result")

WAIT_S = 60.0
_SPAWN = multiprocessing.get_context("spawn")
_gate: Any = None


def in_threads(count: int, work: Callable[[int], Result]) -> list[Result]:
    """What `work` gave for 0, 1, ..., each in a thread of its own."""
    gate = threading.Barrier(count)

    def begin(number: int) -> Result:
        gate.wait(WAIT_S)
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(begin, range(count), timeout=WAIT_S))


def in_processes(count: int, work: Callable[..., Result], *args: Any) -> list[Result]:
    """What `work(number, *args)` gave for 0, 1, ..., each in a fresh process."""
    gate = _SPAWN.Barrier(count)
    with ProcessPoolExecutor(count, _SPAWN, _set_gate, (gate,)) as processes:
        calls = [processes.submit(_begin, work, number, *args) for number in range(count)]
        return [call.result(WAIT_S) for call in calls]


@contextmanager
def process(work: Callable[..., None], *args: Any) -> Iterator[BaseProcess]:
    """A process that does `work` until it is killed, here or at the end."""
    started = _SPAWN.Process(target=work, args=args, daemon=True)
    started.start()
    try:
        yield started
    finally:
        started.kill()
        started.join(WAIT_S)


def meet() -> None:
    """In processes that run at once: goes on when all of them are here."""
    _gate.wait(WAIT_S)


def _set_gate(gate: Any) -> None:
    global _gate
    _gate = gate


def _begin(work: Callable[..., Result], *args: Any) -> Result:
    meet()
    return work(*args)
