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
from cluster.environment import blamed, read_environment
from cluster.errors import ConfigError
from cluster.sections import fault_lines, shown

IMPORT_PATH = "deployments.app:build_app"


_BAD_SCALAR = (ValueError, KeyError, AttributeError)
"""What PyYAML lets out where a scalar is not of its type, as 2026-99-99 is no date."""


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


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; None where it is empty.

    Raises:
        ConfigError: no such file, or not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, RecursionError, *_BAD_SCALAR) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error


def read_document(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: no such file, not YAML, or no mapping at its top.
    """
    document = read_yaml(path)
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
    index, application = _our_application(document, path)
    where = f"applications[{index}].args"
    args = application.get("args")
    if not isinstance(args, dict):
        raise ConfigError(f"{path}: {where}: must be a mapping with the key models")
    return where, args


def application_environment(
    document: Mapping[str, Any], path: Path, environment: Mapping[str, str]
) -> dict[str, str]:
    """What our application finds in its environment: this one, and `runtime_env.env_vars` over it.

    Raises:
        ConfigError: no application, none of ours, or a variable's value is no text.
    """
    index, application = _our_application(document, path)
    runtime = application.get("runtime_env")
    variables = runtime.get("env_vars") if isinstance(runtime, dict) else None
    stated = variables if isinstance(variables, dict) else {}
    for name, value in stated.items():
        if not isinstance(value, str):
            raise ConfigError(
                f"{path}: applications[{index}].runtime_env.env_vars.{shown(name)}: "
                f"must be text, in quotes (given: {shown(repr(value))})"
            )
    return {**environment, **stated}


def validate_args(
    args: Mapping[str, Any], source: str, environment: Mapping[str, str] | None = None
) -> ClusterConfig:
    """The config in a mapping, over the defaults that the environment sets.

    `source` (a file and a path within it) begins every line of an error. A fault in which the
    environment has a part names the variables after it.

    Raises:
        ConfigError: one line per fault.
    """
    defaults = read_environment(environment or {})
    try:
        return ClusterConfig.model_validate(defaults.applied_to(args))
    except ValidationError as error:
        file, _, prefix = source.rpartition(": ")
        lines = blamed(
            fault_lines(error, prefix),
            defaults,
            lambda others: _faults(others.applied_to(args), prefix),
        )
        raise ConfigError(
            "\n".join(f"{file}: {line}" if file else line for line in lines)
        ) from error


def load_config(path: Path, environment: Mapping[str, str] | None = None) -> ClusterConfig:
    """The cluster config in a Serve config file; raises `ConfigError`."""
    document = read_document(path)
    where, args = application_args(document, path)
    variables = application_environment(document, path, environment or {})
    return validate_args(args, f"{path}: {where}", variables)


def _our_application(document: Mapping[str, Any], path: Path) -> tuple[int, dict[str, Any]]:
    applications = document.get("applications")
    if not isinstance(applications, list) or not applications:
        raise ConfigError(f"{path}: applications: must list at least one application")
    ours = [
        (index, application)
        for index, application in enumerate(applications)
        if isinstance(application, dict) and application.get("import_path") == IMPORT_PATH
    ]
    if len(ours) != 1:
        count = "none has" if not ours else "more than one has"
        raise ConfigError(f"{path}: applications: {count} import_path: {IMPORT_PATH}")
    return ours[0]


def _faults(args: Mapping[str, Any], prefix: str) -> list[str]:
    try:
        ClusterConfig.model_validate(args)
    except ValidationError as error:
        return fault_lines(error, prefix)
    return []
