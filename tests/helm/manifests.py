"""Rendered text as objects, and the parts of them that checks look at."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

Manifest = dict[str, Any]


class _OnceEach(yaml.CSafeLoader):
    """Refuses a key that stands twice in one mapping, of which YAML readers keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            where = f"line {node.start_mark.line + 1}"
            raise ValueError(f"{', '.join(sorted(twice))} stands twice at {where}")
        return super().construct_mapping(node, deep)


def parsed(text: str) -> list[Manifest]:
    """The objects of a stream of YAML documents, without the empty ones.

    Raises:
        ValueError: a mapping has a key twice.
    """
    return [document for document in yaml.load_all(text, _OnceEach) if document]


def read_yaml(text: str) -> Any:
    """One document, of which no mapping has a key twice."""
    return yaml.load(text, _OnceEach)


def identity(manifest: Manifest) -> tuple[str, str]:
    """Kind and name, which are unique within a release."""
    return manifest["kind"], manifest["metadata"]["name"]


def of_kind(objects: Sequence[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in objects if manifest["kind"] == kind]


def one(objects: Sequence[Manifest], kind: str) -> Manifest:
    """The only object of its kind."""
    found = of_kind(objects, kind)
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


def ray_service(objects: Sequence[Manifest]) -> Manifest:
    return one(objects, "RayService")


def ray_cluster(objects: Sequence[Manifest]) -> Manifest:
    """The spec of the Ray cluster within the RayService."""
    return ray_service(objects)["spec"]["rayClusterConfig"]


def serve_config(objects: Sequence[Manifest]) -> Manifest:
    """`serveConfigV2`, parsed."""
    return read_yaml(ray_service(objects)["spec"]["serveConfigV2"])


def pod_templates(objects: Sequence[Manifest]) -> dict[str, Manifest]:
    """Pod templates as the chart wrote them, by group; the head's is called `head`."""
    cluster = ray_cluster(objects)
    return {
        "head": cluster["headGroupSpec"]["template"],
        **{group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]},
    }


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string within, with the path to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from strings(inner, f"{path}[{index}]")


GONE = object()
"""Stands for no value, in `changed`."""


def changed(value: Any, path: str | Sequence[str | int], new: Any) -> Any:
    """A copy in which the value at a path is another, or gone; a key that is not there is made.

    The path is a text with slashes between keys and indices, or a sequence of them, which keys
    that hold a slash need.
    """
    steps: Sequence[str | int] = path if not isinstance(path, str) else _steps(path)
    *way, last = steps
    result = copy.deepcopy(value)
    inner = result
    for step in way:
        inner = inner[step]
    if new is GONE:
        del inner[last]
    else:
        inner[last] = copy.deepcopy(new)
    return result


def _steps(path: str) -> list[str | int]:
    return [int(step) if step.isdigit() else step for step in path.split("/")]
