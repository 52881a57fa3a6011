"""The card or processor below an engine: its name, its clock, and the memory that was taken."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import torch


def device_name(device: str) -> str:
    """The card's name as CUDA gives it, or the processor's as Linux does, else its architecture."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def now_s(device: str) -> float:
    """Seconds of a clock, with the device's work up to here done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def forget_peak_memory(device: str) -> None:
    """The peak begins anew, at what is taken now."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_memory_bytes(device: str) -> int | None:
    """The most that torch has taken of the card at once; None on CPU, which does not count it."""
    return int(torch.cuda.max_memory_allocated()) if device == "cuda" else None
