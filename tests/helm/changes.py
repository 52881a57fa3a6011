"""One thing changed in a right release: how the checkers of this folder are seen to fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.helm.full_release import EVERYTHING
from tests.helm.manifests import Manifest, changed

FULL: Mapping[str, Any] = {**EVERYTHING, "extraObjects": []}
REDIS: Mapping[str, Any] = {
    "gcsFaultTolerance": {
        "enabled": True,
        "redisAddress": "redis:6379",
        "redisPassword": {"name": "redis", "key": "password"},
    },
    "secrets": {"database": {"name": "jobs"}},
}
STEPS: Mapping[str, Any] = {
    "autoscaling": {"enabled": True},
    "upgrade": {"strategy": "NewClusterWithIncrementalUpgrade", "gatewayClassName": "istio"},
}

CLUSTER = ("spec", "rayClusterConfig")
HEAD = (*CLUSTER, "headGroupSpec")
WORKER = (*CLUSTER, "workerGroupSpecs", 0)
HEAD_POD = (*HEAD, "template", "spec")
WORKER_POD = (*WORKER, "template", "spec")
HEAD_RAY = (*HEAD_POD, "containers", 0)
WORKER_RAY = (*WORKER_POD, "containers", 0)


@dataclass(frozen=True)
class Change:
    """One thing changed in the first object of a kind, and a piece of what must be said of it."""

    kind: str
    path: tuple[str | int, ...]
    new: Any
    said: str
    values: Mapping[str, Any] | None = None

    def of(self, objects: Sequence[Manifest]) -> list[Manifest]:
        """The objects with this changed."""
        result = list(objects)
        index = next(i for i, manifest in enumerate(objects) if manifest["kind"] == self.kind)
        result[index] = changed(result[index], self.path, self.new)
        return result
