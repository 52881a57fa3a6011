"""How far a job is, and what a watcher has seen of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Seen:
    """What a watcher knows: step boundaries, and previews."""

    steps_done: int = 0
    previews: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a job is; `steps` are those of all its pictures."""

    state: Literal["queued", "running"]
    steps_done: int
    steps: int
