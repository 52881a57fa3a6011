"""Which class of pipeline a source holds, read from its `model_index.json` without torch."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.config import ClusterConfig, ModelConfig
from cluster.errors import ConfigError
from cluster.tasks import PIPELINES
from deployments.architecture_files import SHIPPED


def with_pipelines(config: ClusterConfig) -> ClusterConfig:
    """The config with the `pipeline` of each model filled in, where it can be read here.

    That is so for a folder and for the hub ids whose architecture this project ships. Nothing is
    fetched.

    Raises:
        ConfigError: a `model_index.json` is none, or a pipeline makes videos and the model has no
            `default_frames`, or the other way round.
    """
    return config.model_copy(update={"models": tuple(map(_with_pipeline, config.models))})


def _with_pipeline(model: ModelConfig) -> ModelConfig:
    known = model.model_copy(update={"pipeline": model.pipeline or _class_of(model)})
    if known.pipeline in PIPELINES and known.makes_videos != known.tasks[0].makes_video:
        makes = "pictures" if known.makes_videos else "videos"
        does = "have none" if known.makes_videos else "say how many"
        raise ConfigError(
            f"args: default_frames of {known.name}: {known.pipeline} makes {makes}; {does}"
        )
    return known


def _class_of(model: ModelConfig) -> str | None:
    for folder in (Path(model.source), SHIPPED / model.source.replace("/", "--")):
        index = folder / "model_index.json"
        if index.is_file():
            try:
                name = json.loads(index.read_bytes())["_class_name"]
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"{index}: does not tell the pipeline's class") from error
            return str(name)
    return None
