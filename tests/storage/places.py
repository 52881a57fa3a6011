"""What the tests of stored results share: an empty place, a key, and bytes to keep there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cluster.results import ResultsConfig
from deployments.results import ResultStore

KEY = "images/img_ab12_0"


@dataclass(frozen=True)
class Place:
    """An empty place for results."""

    url: str
    options: dict[str, Any]

    def store(self, **settings: Any) -> ResultStore:
        return ResultStore(ResultsConfig(url=self.url, options=self.options, **settings))

    def store_elsewhere(self, **settings: Any) -> ResultStore:
        """A store with a connection of its own, as that of another process."""
        return Place(self.url, self.options | {"skip_instance_cache": True}).store(**settings)


def pattern(size_bytes: int) -> bytes:
    """Bytes of which no two near places are alike."""
    return np.arange(size_bytes // 4, dtype=np.uint32).tobytes()
