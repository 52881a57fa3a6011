"""Ways to spoil what an engine makes, and what it says of a job then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cluster.errors import EngineFailed, OutputCorrupt
from cluster.job import Job
from cluster.tiers import Tier
from deployments.engine import Stopped
from tests.engine.conftest import onward

Outcome = tuple[str, Any]


@contextmanager
def poisoned(parameter: Any, value: float) -> Iterator[None]:
    """One of its numbers is another meanwhile."""
    import torch

    with torch.no_grad():
        before = parameter.clone()
        parameter[(0,) * parameter.ndim] = value
        yield
        parameter.copy_(before)


@contextmanager
def bad_step(transformer: Any, step: int, value: float) -> Iterator[None]:
    """What the transformer predicts in one step, counted from 1, has such a number in it."""
    calls = 0

    def after(module: Any, inputs: Any, output: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == step:
            output[0][(0,) * output[0].ndim] = value

    handle = transformer.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def decoded_as(vae: Any, value: float) -> Iterator[None]:
    """Everything that the VAE decodes is that number."""
    handle = vae.decoder.register_forward_hook(lambda module, inputs, output: output.fill_(value))
    try:
        yield
    finally:
        handle.remove()


def parts(engine: Any) -> tuple[Any, Any]:
    return engine._pipeline.transformer, engine._pipeline.vae


def outcome(engine: Any, job: Job) -> Outcome:
    """The pictures of a job in tier `none`, or the kind of its error and its words."""
    try:
        result = engine.generate(job, Tier.NONE, onward)
    except (OutputCorrupt, EngineFailed) as error:
        return type(error).__name__, str(error)
    except Stopped:
        return "Stopped", ""
    return "made", result.images
