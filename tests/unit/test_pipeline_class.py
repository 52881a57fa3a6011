"""Which tasks a model can do is read from its pipeline's folder, before torch is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.config import ClusterConfig
from cluster.errors import ConfigError
from cluster.load import load_config
from cluster.tasks import Task
from deployments.pipeline_class import with_pipelines


def config_of(source: str | Path, **fields: Any) -> ClusterConfig:
    pools = [{"name": "p", "device": "cpu"}]
    model = {"name": "m", "source": str(source), "pools": pools, **fields}
    return with_pipelines(ClusterConfig.model_validate({"models": [model]}))


def folder_of(place: Path, index: str) -> Path:
    (place / "model_index.json").write_text(index)
    return place


def test_the_embedded_model_makes_edits_and_fills_in_pictures() -> None:
    (model,) = with_pipelines(load_config(Path("configs/demo.yaml"))).models
    assert model.pipeline == "FluxPipeline"
    assert set(model.tasks) == {Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINTING}


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*.yaml")), ids=str)
def test_every_config_that_is_shipped_tells_what_its_models_can_do(path: Path) -> None:
    for model in with_pipelines(load_config(path)).models:
        assert model.pipeline is not None
        assert model.makes_videos == model.tasks[0].makes_video


def test_a_source_that_is_not_here_is_taken_to_work_from_text(tmp_path: Path) -> None:
    assert config_of("someones/pipeline").models[0].tasks == (Task.TEXT_TO_IMAGE,)
    assert config_of(tmp_path, default_frames=5).models[0].tasks == (Task.TEXT_TO_VIDEO,)


def test_what_the_config_says_goes_before_what_the_folder_says(tmp_path: Path) -> None:
    source = folder_of(tmp_path, json.dumps({"_class_name": "FluxPipeline"}))
    (model,) = config_of(source, pipeline="QwenImageEditPipeline").models
    assert model.tasks == (Task.IMAGE_EDITING,)


@pytest.mark.parametrize("index", ["", "[]", "{}", "null", "{"])
def test_an_index_that_tells_no_class_is_a_fault_by_the_files_name(
    tmp_path: Path, index: str
) -> None:
    with pytest.raises(ConfigError, match=r"model_index\.json: does not tell"):
        config_of(folder_of(tmp_path, index))


@pytest.mark.parametrize(
    ("pipeline", "frames", "words"),
    [
        ("WanPipeline", None, "WanPipeline makes videos; say how many"),
        ("FluxPipeline", 5, "FluxPipeline makes pictures; have none"),
    ],
)
def test_a_pipeline_and_its_frames_agree(pipeline: str, frames: int | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config_of("someones/pipeline", pipeline=pipeline, default_frames=frames)
