"""Reads a Serve config file and checks our part of it.

Every fault is one line with file and path.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cluster.config import ClusterConfig
from cluster.errors import ConfigError
from cluster.sections import fault_lines, shown

IMPORT_PATH = "deployments.app:build_app"


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML as everybody reads it, but a key given twice is an error and not the last one wins."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value != "<<":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None,
                        None,
                        f"the key {shown(key_node.value)} is given twice",
                        key_node.start_mark,
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def read_document(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: no such file, not YAML, or no mapping at its top.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        document = yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if document is None:
        raise ConfigError(f"{path}: is empty; a Serve config has the key applications")
    if not isinstance(document, dict):
        raise ConfigError(
            f"{path}: a Serve config is a mapping with the key applications, "
            f"not {type(document).__name__}"
        )
    return document


def application_args(document: Mapping[str, Any], path: Path) -> tuple[str, dict[str, Any]]:
    """The path of our application's `args` within a Serve config, and the args themselves.

    Raises:
        ConfigError: no application, or none of ours.
    """
    applications = document.get("applications")
    if not isinstance(applications, list) or not applications:
        raise ConfigError(f"{path}: applications: must list at least one application")
    ours = [
        index
        for index, application in enumerate(applications)
        if isinstance(application, dict) and application.get("import_path") == IMPORT_PATH
    ]
    if len(ours) != 1:
        count = "none has" if not ours else "more than one has"
        raise ConfigError(f"{path}: applications: {count} import_path: {IMPORT_PATH}")
    where = f"applications[{ours[0]}].args"
    args = applications[ours[0]].get("args")
    if not isinstance(args, dict):
        raise ConfigError(f"{path}: {where}: must be a mapping with the key models")
    return where, args


def validate_args(args: Mapping[str, Any], source: str) -> ClusterConfig:
    """The config in a mapping.

    `source` (a file and a path within it) begins every line of an error.

    Raises:
        ConfigError: one line per fault.
    """
    try:
        return ClusterConfig.model_validate(args)
    except ValidationError as error:
        file, _, prefix = source.rpartition(": ")
        lines = fault_lines(error, prefix)
        raise ConfigError(
            "\n".join(f"{file}: {line}" if file else line for line in lines)
        ) from error


def load_config(path: Path) -> ClusterConfig:
    """The cluster config in a Serve config file; raises `ConfigError`."""
    where, args = application_args(read_document(path), path)
    return validate_args(args, f"{path}: {where}")
