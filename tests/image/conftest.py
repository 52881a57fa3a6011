"""The Dockerfile, and the `cpu` image's stages carried out without an engine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.image.builds import Build
from tests.image.dockerfile import Stage, stages

INDEX = '--index-url "${TORCH_INDEX}" '


@dataclass(frozen=True)
class BuiltImage:
    """The last stage of the `cpu` image, where it lies, and what its RUN steps printed."""

    build: Build
    stage: Stage
    printed: list[str]

    def run(self, command: str) -> str:
        return self.build.in_container(self.stage, command)

    @property
    def workdir(self) -> Path:
        return self.build.workdir(self.stage)


@pytest.fixture(scope="session")
def dockerfile() -> dict[str, Stage]:
    return stages(Path("Dockerfile").read_text())


@pytest.fixture(scope="session")
def built(
    dockerfile: dict[str, Stage], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BuiltImage]:
    root = tmp_path_factory.mktemp("image")
    build = Build(Path.cwd(), root)
    build.run(dockerfile["wheel"], {})
    build.run(dockerfile["cpu-packages"], torch_at_hand())
    printed = build.run(dockerfile["cpu"], {})
    yield BuiltImage(build, dockerfile["cpu"], printed)
    shutil.rmtree(root)  # 1.7 GB, of which pytest would keep the last three


def torch_at_hand() -> Mapping[str, str]:
    """Leaves out the index of CPU builds where a folder that pip looks in holds one of torch."""
    folders = [Path(each) for each in os.environ.get("PIP_FIND_LINKS", "").split()]
    at_hand = any(wheel for folder in folders for wheel in folder.glob("torch-*+cpu-*.whl"))
    return {INDEX: ""} if at_hand else {}
