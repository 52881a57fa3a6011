"""What an exception of a pipeline means to the caller. Imports no Ray."""

from __future__ import annotations

import torch

from cluster.errors import DitServeError, EngineFailed, InvalidRequest
from cluster.job import Job
from deployments.engine import EngineSpec

_DOES_NOT_DIVIDE = "must be divisible by mesh size"
"""What cache-dit asserts of a sequence that it is to share out among ranks."""

_MASK_IN_RING = "attn_mask"
"""What cache-dit names when a mask comes to ring attention, which takes none."""

_NO_MEMORY = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch's allocator for the CPU says, and cuBLAS, where torch raises a plain RuntimeError."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device, or the machine, had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def out_of_memory(job: Job, pictures: int, spec: EngineSpec) -> EngineFailed:
    """Says what was too large, and what to do about it."""
    size = f"{job.width}x{job.height}"
    if job.num_frames is not None:
        what, advice = f"a clip of {size} with {job.num_frames} frames", "a smaller or shorter one"
    elif pictures == 1:
        what, advice = f"a picture of {size}", "a smaller one"
    else:
        what = f"{pictures} pictures of {size} at once"
        advice = f"smaller or fewer ones, or give pool {spec.pool} a max_batch under {pictures}"
    return EngineFailed(f"out of memory: there was not enough for {what}; ask for {advice}")


def what_failed(error: Exception, spec: EngineSpec, job: Job, pipeline: str) -> DitServeError:
    """`InvalidRequest` where the request can be mended, else `EngineFailed` with the reason."""
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, AssertionError) and _DOES_NOT_DIVIDE in reason:
        dims = spec.dims
        return InvalidRequest(
            f"size: {job.width}x{job.height} with this prompt makes a sequence that does not "
            f"divide by the {dims.ulysses_size * dims.ring_size} ranks of {dims.label}; "
            "another size may, and ulysses_anything takes any",
            param="size",
        )
    if isinstance(error, ValueError) and _MASK_IN_RING in reason and spec.dims.ring_size > 1:
        return InvalidRequest(
            "negative_prompt: guidance with prompts of unlike length needs a mask here, which "
            f"ring attention ({spec.dims.label}) does not take",
            param="negative_prompt",
        )
    return EngineFailed(f"{pipeline} failed on this request: {reason}")
