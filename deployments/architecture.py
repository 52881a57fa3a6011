"""A pipeline's shape, read from its config files alone. Imports no Ray.

Parameters are counted on torch's meta device, which allocates nothing: the classes that
`model_index.json` names are built from their `config.json`, so that tied weights count once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from cluster.errors import ConfigError
from deployments.architecture_files import architecture_folder
from deployments.module_shapes import (
    component_shape,
    denoiser_shape,
    kind_of,
    vae_shape,
)
from placement.shapes import ComponentShape, PipelineShape

_LIBRARIES = {"diffusers": diffusers, "transformers": transformers}
_EDITS = ("Edit", "Kontext")


@lru_cache(maxsize=32)
def pipeline_shape(source: str) -> PipelineShape:
    """The shape of a pipeline, given by folder or hub id.

    Raises:
        ConfigError: its config files cannot be had, or are none of a DiT pipeline.
    """
    folder = architecture_folder(source)
    index = _read_json(folder / "model_index.json", source)
    components: list[ComponentShape] = []
    modules: dict[str, torch.nn.Module] = {}
    for name, entry in index.items():
        if not _names_a_class(entry):
            continue
        library, class_name = entry
        if (module := _meta_module(library, class_name, folder / name, source)) is None:
            continue
        modules[name] = module
        components.append(component_shape(name, module))
    transformer, vae = modules.get("transformer"), modules.get("vae")
    if transformer is None or vae is None:
        missing = "transformer" if transformer is None else "vae"
        raise ConfigError(f"{source}: model_index.json names no {missing}")
    pipeline = str(index.get("_class_name", ""))
    copies = 2 if any(word in pipeline for word in _EDITS) else 1
    linears = next(part.linears for part in components if kind_of(part.name) == "transformer")
    return PipelineShape(
        name=source,
        components=tuple(components),
        denoiser=denoiser_shape(transformer, vae, linears, copies),
        vae=vae_shape(vae),
    )


def _names_a_class(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and all(isinstance(e, str) for e in entry)


def _meta_module(
    library: str, class_name: str, folder: Path, source: str
) -> torch.nn.Module | None:
    """A model without weights; None where the entry is no model (a tokenizer, a scheduler)."""
    if library not in _LIBRARIES:
        raise ConfigError(f"{source}: {class_name} is of {library}, so it cannot be counted")
    cls: Any = getattr(_LIBRARIES[library], class_name, None)
    if cls is None:
        raise ConfigError(
            f"{source}: {library} {_LIBRARIES[library].__version__} has no {class_name}"
        )
    if not issubclass(cls, torch.nn.Module):
        return None
    config = _read_json(folder / "config.json", source)
    try:
        with torch.device("meta"):
            if library == "diffusers":
                return cls.from_config(config)
            return cls(cls.config_class.from_dict(dict(config)))
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise ConfigError(
            f"{source}: {class_name} cannot be built from {folder.name}/config.json: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error


def _read_json(path: Path, source: str) -> Mapping[str, Any]:
    name = path.name if path.name == "model_index.json" else f"{path.parent.name}/{path.name}"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{source}: {name} cannot be read: {type(error).__name__}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{source}: {name} is no mapping")
    return found
