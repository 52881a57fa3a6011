"""How busy a model and its pools are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """Replicas that have nothing to do and that work; seconds that they need for all there is."""

    idle: int
    busy: int
    backlog_s: float


@dataclass(frozen=True, slots=True)
class ModelLoad:
    """Jobs that wait, and the pools by name."""

    queued: int
    pools: Mapping[str, PoolLoad]
