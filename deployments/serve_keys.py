"""Checks the part of a config file that is Serve's own; Serve ignores unknown keys."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from ray.serve.schema import ServeDeploySchema

from cluster.config import ClusterConfig
from cluster.load import IMPORT_PATH
from cluster.sections import dotted_path, fault_lines, shown, unknown_key
from deployments.options import GATEWAY, pool_name, router_name

_FREE = {"args", "runtime_env", "user_config", "request_router_kwargs", "resources"}
"""Keys below which everything is the user's own."""


def serve_faults(document: Mapping[str, Any]) -> list[str]:
    """One line per unknown key or wrong value among Serve's own keys; empty when all is right."""
    faults = list(_unknown_keys(document, ServeDeploySchema, ()))
    if not faults:
        try:
            ServeDeploySchema.model_validate(document)
        except ValidationError as error:
            faults = fault_lines(error)
    return faults


def override_faults(document: Mapping[str, Any], config: ClusterConfig) -> list[str]:
    """One line per entry under `deployments` that names no deployment of this config."""
    names = [GATEWAY, *(router_name(model) for model in config.models)]
    names += [pool_name(model, pool) for model in config.models for pool in model.pools]
    routers = {router_name(model) for model in config.models}
    faults = []
    for index, application in enumerate(document["applications"]):
        if application["import_path"] != IMPORT_PATH:
            continue
        for number, override in enumerate(application.get("deployments", [])):
            where = dotted_path("", ("applications", index, "deployments", number))
            name = override["name"]
            if name not in names:
                near = get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(names)}"
                faults.append(f"{where}.name: no deployment is named {shown(name)}; {hint}")
            elif name in routers and _more_than_one(override):
                faults.append(f"{where}: a model has one router; it cannot have more replicas")
            elif name != GATEWAY and "request_router_config" in override:
                faults.append(f"{where}.request_router_config: the router chooses the replicas")
    return faults


def _more_than_one(override: Mapping[str, Any]) -> bool:
    return "autoscaling_config" in override or override.get("num_replicas", 1) != 1


def _unknown_keys(
    value: Any, model: type[BaseModel], location: tuple[int | str, ...]
) -> Iterator[str]:
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        field = model.model_fields.get(key)
        if field is None:
            reason = unknown_key(str(key), model.model_fields).message()
            yield f"{dotted_path('', location)}: {reason}" if location else reason
        elif key not in _FREE:
            for part in _models_in(field.annotation):
                if isinstance(inner, list):
                    for index, item in enumerate(inner):
                        yield from _unknown_keys(item, part, (*location, key, index))
                else:
                    yield from _unknown_keys(inner, part, (*location, key))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)
