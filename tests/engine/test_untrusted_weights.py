"""What lies in a model's folder is read, and never run."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import ConfigError
from deployments.engine import EngineSpec, build_engine

pytestmark = pytest.mark.filterwarnings("ignore")


class Planted:
    """Makes a file as soon as it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (Path.touch, (self.file,))


def as_pickles(weights: Path, ran: Path) -> None:
    """The weights as pickles, as files of before safetensors are."""
    for file in [*weights.rglob("*.safetensors")]:
        name = "pytorch_model.bin" if file.stem == "model" else f"{file.stem}.bin"
        file.with_name(name).write_bytes(pickle.dumps(Planted(ran)))
        file.unlink()


def a_pipeline_of_its_own(weights: Path, ran: Path) -> None:
    (weights / "pipeline.py").write_text(CODE.format(ran=str(ran)))
    changed(weights / "model_index.json", _class_name=["pipeline", "Own"])


def a_module_of_its_own(weights: Path, ran: Path) -> None:
    (weights / "transformer" / "own.py").write_text(CODE.format(ran=str(ran)))
    changed(weights / "model_index.json", transformer=["own", "Own"])


CODE = """
from pathlib import Path
from diffusers import DiffusionPipeline, FluxTransformer2DModel

Path({ran!r}).touch()

class Own(DiffusionPipeline):
    pass
"""


def changed(file: Path, **keys: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | keys))


@pytest.mark.parametrize("plant", [as_pickles, a_pipeline_of_its_own, a_module_of_its_own])
def test_a_folder_that_brings_code_is_refused_and_its_code_does_not_run(
    spec: EngineSpec, tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    weights, ran = tmp_path / "weights", tmp_path / "ran"
    shutil.copytree(spec.source, weights)
    plant(weights, ran)
    with pytest.raises(ConfigError, match="cannot be loaded as a diffusers pipeline"):
        build_engine(dataclasses.replace(spec, source=str(weights)))
    assert not ran.exists()
