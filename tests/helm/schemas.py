"""Every object against the strictest schema there is for its kind: an unknown key is a fault."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from tests.helm.engines import KUBE_VERSION
from tests.helm.kuberay import pods
from tests.helm.manifests import Manifest, identity, of_kind, pod_templates

RAY_SERVICE = Path("tests/helm/schemas/rayservice-v1.7.0.schema.json")
BY_NPM = ("monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1")
"""Groups of which kubernetes-validate has no schema, but packages of npm have."""

NPM_S = 60.0


def schema_faults(objects: Sequence[Manifest], tools: Path) -> list[str]:
    """Faults of all objects of a release, and of the pods that come of its RayService.

    Args:
        tools: the folder where the npm packages are.
    """
    templates = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": template["spec"]}
        for name, template in pod_templates(objects).items()
    ]
    return object_faults([*objects, *templates, *pods(objects)], tools)


def object_faults(objects: Sequence[Manifest], tools: Path) -> list[str]:
    """Faults of each object by itself."""
    by_npm = [manifest for manifest in objects if manifest["apiVersion"] in BY_NPM]
    services = of_kind(objects, "RayService")
    core = [m for m in objects if m not in by_npm and m not in services]
    return [
        *(fault for service in services for fault in _ray_service(service)),
        *(fault for manifest in core for fault in _core(manifest)),
        *_npm(by_npm, tools),
    ]


def _ray_service(service: Manifest) -> list[str]:
    errors = _ray_service_schema().iter_errors(service)
    return [f"RayService{_path(error.absolute_path)}: {error.message}" for error in errors]


@cache
def _ray_service_schema() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(RAY_SERVICE.read_text()))


def _core(manifest: Manifest) -> list[str]:
    import kubernetes_validate

    try:
        kubernetes_validate.validate(manifest, KUBE_VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{' '.join(identity(manifest))}{_path(error.absolute_path)}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [error.message]
    return []


def _npm(manifests: Sequence[Manifest], tools: Path) -> list[str]:
    if not manifests:
        return []
    done = subprocess.run(
        ["node", "validate.mjs"],
        cwd=tools,
        input=json.dumps(list(manifests)),
        capture_output=True,
        text=True,
        timeout=NPM_S,
        check=True,
    )
    complaints: list[list[str]] = json.loads(done.stdout)
    return [
        f"{' '.join(identity(manifest))}{fault}"
        for manifest, faults in zip(manifests, complaints, strict=True)
        for fault in faults
    ]


def _path(steps: Sequence[Any]) -> str:
    return "".join(f"/{step}" for step in steps)
