"""The card or processor below an engine: its name, its clock, and the memory that was taken."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from pathlib import Path

import torch

from deployments.engine import DeviceMemory

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in what `getrusage` counts a resident set in: getrusage(2) of macOS and of Linux."""


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


def memory(device: str) -> DeviceMemory:
    """What is taken of the device, with what torch held at its peak and has given back since.

    On CUDA that is of the whole card, the CUDA context and other processes included; the peak
    counts from `forget_peak_memory` on. On a CPU it is the most that this process has held since
    it began, of the machine's memory.
    """
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        given_back = torch.cuda.max_memory_reserved() - torch.cuda.memory_reserved()
        return DeviceMemory(total - free + given_back, total)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT
    return DeviceMemory(resident, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
