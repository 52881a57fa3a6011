"""Where the time of an arm goes: torch's profiler over one picture, its kernels by their time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_names import Denoised

_KERNELS = 20


@dataclass(frozen=True)
class Kernel:
    """A kernel, or on CPU an operator, with the seconds of all its calls."""

    name: str
    calls: int
    seconds: float


@dataclass(frozen=True)
class Trace:
    """The kernels that took most, `busy_s` of all kernels, and the denoise stage's own seconds.

    What the stage takes beyond `busy_s` the device waited; under the profiler that is more than
    otherwise. On CPU operators run inside each other, and their own time counts.
    """

    arm: str
    denoise_s: float
    busy_s: float
    kernels: tuple[Kernel, ...]


def trace(arm: str, device: str, denoise: Callable[[], Denoised], file: Path) -> Trace:
    """Profiles one picture and writes its timeline to `file`, for chrome://tracing or Perfetto."""
    activities = [ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        denoised = denoise()
    profiler.export_chrome_trace(str(file))
    kernels = [_kernel(event, device) for event in profiler.key_averages() if _is_on(event, device)]
    kernels.sort(key=lambda kernel: -kernel.seconds)
    busy_s = sum(kernel.seconds for kernel in kernels)
    return Trace(arm, denoised.denoise_s, busy_s, tuple(kernels[:_KERNELS]))


def _is_on(event: Any, device: str) -> bool:
    wanted = DeviceType.CUDA if device == "cuda" else DeviceType.CPU
    return event.device_type == wanted and not event.is_user_annotation


def _kernel(event: Any, device: str) -> Kernel:
    taken_us = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
    return Kernel(event.key, event.count, taken_us / 1e6)
