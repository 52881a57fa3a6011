"""What `benchmarks.gpu_tiers` reads off a device: seconds of steps, memory, compilations, rates."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch._dynamo.utils import counters

_MATMUL_SIDE = {"cuda": 8192, "cpu": 512}
_MATMULS = {"cuda": 20, "cpu": 5}


class Clock(Protocol):
    """Marks moments of the device's own time, without holding it up."""

    def mark(self) -> None:
        """The moment at which the device has done all that it was given so far."""

    def seconds(self) -> tuple[float, ...]:
        """Between each two marks that follow each other; waits for the last."""
        ...


class DeviceClock:
    """CUDA events: what the host takes to launch counts only where the device waits for it."""

    def __init__(self) -> None:
        self._marks: list[Any] = []
        torch.cuda.synchronize()

    def mark(self) -> None:
        event: Any = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append(event)

    def seconds(self) -> tuple[float, ...]:
        self._marks[-1].synchronize()
        return tuple(a.elapsed_time(b) / 1000 for a, b in pairwise(self._marks))


class HostClock:
    """The host's clock, for a device that works while the host waits: the CPU."""

    def __init__(self) -> None:
        self._marks: list[float] = []

    def mark(self) -> None:
        self._marks.append(time.perf_counter())

    def seconds(self) -> tuple[float, ...]:
        return tuple(b - a for a, b in pairwise(self._marks))


def clock(device: str) -> Clock:
    """A clock for `cuda` or `cpu` that has no mark yet."""
    return DeviceClock() if device == "cuda" else HostClock()


def matmul_tflops(device: str) -> float:
    """TFLOP/s of one large square matrix product in bfloat16, normal values, again and again.

    What the card does of the only work that is counted, at the clock that it keeps under load: the
    rate that a share is a share of.
    """
    side, times = _MATMUL_SIDE[device], _MATMULS[device]
    generator = torch.Generator(device).manual_seed(0)
    left, right = (
        torch.randn(side, side, dtype=torch.bfloat16, device=device, generator=generator)
        for _ in range(2)
    )
    product = torch.mm(left, right)
    timed = clock(device)
    timed.mark()
    for _ in range(times):
        torch.mm(left, right, out=product)
    timed.mark()
    (taken_s,) = timed.seconds()
    return 2 * side**3 * times / taken_s / 1e12


def graphs_compiled() -> int:
    """Graphs that torch has compiled in this process."""
    return int(counters["stats"]["unique_graphs"])


def working_bytes(device: str, work: Callable[[], Any]) -> tuple[Any, int | None]:
    """What `work` returns, and the most that it held on the card beside what lay there before.

    None in place of the bytes on CPU, where torch does not count them.
    """
    if device != "cuda":
        return work(), None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    found = work()
    return found, torch.cuda.max_memory_allocated() - before


def weight_bytes(module: torch.nn.Module) -> int:
    """Bytes of a module's parameters; of a quantized one, those of its values and scales."""
    return sum(_bytes(parameter.data) for parameter in module.parameters())


def _bytes(tensor: torch.Tensor) -> int:
    if type(tensor) is torch.Tensor:
        return tensor.numel() * tensor.element_size()
    parts, _ = tensor.__tensor_flatten__()
    return sum(_bytes(getattr(tensor, part)) for part in parts)
