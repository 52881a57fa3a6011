"""A version of its own for each deployment, so that Serve replaces only what has changed.

Serve gives all deployments of an application one version, made of the application's args: any
change of them replaces every replica, the weights of pools of which nothing changed among them.
What is used here is outside of Serve's promise of stability, and read in Ray 2.60:
`DeploymentConfig.to_proto` is how a built deployment reaches the controller, with its version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve._private.config import DeploymentConfig

import cluster
import deployments
import placement
from deployments.library_versions import library_versions


class _OwnVersion(DeploymentConfig):
    """Keeps its version, whichever Serve gives to all."""

    _own: str

    def to_proto(self) -> Any:
        self.version = self._own
        return super().to_proto()


def bound(kind: type, options: Mapping[str, Any], *args: Any) -> Application:
    """A deployment of that class with these options, bound to args, under a version of its own."""
    deployment = serve.deployment(**options)(kind)
    config = deployment._deployment_config
    values = {name: getattr(config, name) for name in type(config).model_fields}
    own = _OwnVersion.model_construct(config.model_fields_set, **values)
    own._own = version_of(kind.__name__, *args)
    deployment._deployment_config = own
    return deployment.bind(*args)


def version_of(*parts: Any) -> str:
    """Hex digits that change with the code, with the libraries, and with what `parts` say.

    The parts are plain values, dataclasses and pydantic models, whose `repr` tells all of them. An
    application among them, as a handle is bound, counts by its place alone: what it is made of is
    no change for who calls it.
    """
    told = repr([_code(), library_versions(), [_without_applications(part) for part in parts]])
    return hashlib.sha256(told.encode()).hexdigest()


def _without_applications(part: Any) -> Any:
    if isinstance(part, Mapping) and any(isinstance(each, Application) for each in part.values()):
        return sorted(part)
    return part


@cache
def _code() -> str:
    """A digest of all files of our three packages."""
    digest = hashlib.sha256()
    for package in (placement, cluster, deployments):
        assert package.__file__ is not None
        folder = Path(package.__file__).parent
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
