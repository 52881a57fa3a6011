"""Carries out stages of a Dockerfile in folders, where there is no engine that could build it.

As in an engine: COPY brings only what .dockerignore lets through, each stage has its own files, ENV
and WORKDIR hold for what follows, RUN is what the file says, under `sh`. Not as in an engine: the
base image is this machine with this Python, absolute paths lie under a folder, USER is left out,
and /opt/venv and /wheels are one place for all stages, since a virtual environment cannot be moved.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.image.context import context_files
from tests.image.dockerfile import Instruction, Stage

RUN_S = 540.0

_SHARED = ("opt/venv", "wheels")
_PATHS = re.compile(r"(?<![\w./-])/(?:app|home|models|opt/venv|src|tmp|wheels)\b")


class BuildError(Exception):
    """What an engine would end a build with: the stage, the instruction, the reason."""


@dataclass(frozen=True)
class Build:
    """Stages that lie under `root`, built from the checkout at `checkout`."""

    checkout: Path
    root: Path

    def run(self, stage: Stage, instead: Mapping[str, str]) -> list[str]:
        """Carries a stage out; returns what each RUN printed.

        `instead`: pieces of commands, and what stands in their place.

        Raises:
            BuildError: a COPY of what is not there, or a RUN that failed.
        """
        workdir = self.root / stage.name
        Path(self._moved(stage, "/tmp")).mkdir(parents=True)
        variables = _machine()
        printed = []
        for each in stage.instructions:
            match each.keyword:
                case "WORKDIR":
                    workdir = Path(self._moved(stage, each.text))
                    workdir.mkdir(parents=True, exist_ok=True)
                case "ENV":
                    variables = self._variables(stage)
                    Path(variables["HOME"]).mkdir(parents=True)
                case "COPY":
                    self._copy(stage, each, workdir)
                case "RUN":
                    command = each.text
                    for piece, other in instead.items():
                        command = command.replace(piece, other)
                    printed.append(self._command(stage, command, workdir, variables))
        return printed

    def in_container(self, stage: Stage, command: str) -> str:
        """What a command prints in a container of a stage that has been run.

        Raises:
            BuildError: the command failed.
        """
        return self._command(stage, command, self.workdir(stage), self._variables(stage))

    def workdir(self, stage: Stage) -> Path:
        return Path(self._moved(stage, stage.last("WORKDIR").text))

    def _command(
        self, stage: Stage, command: str, workdir: Path, variables: Mapping[str, str]
    ) -> str:
        finished = subprocess.run(
            ["sh", "-c", self._moved(stage, command)],
            cwd=workdir,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        if finished.returncode != 0:
            raise BuildError(f"{stage.name}: RUN {command}: {finished.stdout[-4000:]}")
        return finished.stdout

    def _variables(self, stage: Stage) -> dict[str, str]:
        machine = _machine()
        return machine | {
            name: self._moved(stage, value).replace(f"${name}", machine.get(name, ""))
            for name, value in stage.variables().items()
        }

    def _moved(self, stage: Stage, text: str) -> str:
        """A text with this machine's paths in place of the image's."""

        def here(found: re.Match[str]) -> str:
            inner = found[0].lstrip("/")
            return str(self.root / ("shared" if inner in _SHARED else stage.name) / inner)

        return _PATHS.sub(here, text)

    def _copy(self, stage: Stage, copy: Instruction, workdir: Path) -> None:
        *sources, target = copy.words()
        if (other := copy.flag("from")) is None:
            for source in sources:
                self._copy_from_context(stage, PurePosixPath(source), workdir / target)
        elif sources != [target] or target.lstrip("/") not in _SHARED:
            raise BuildError(f"{stage.name}: COPY {copy.text}: only shared paths, to themselves")
        elif not Path(self._moved(stage, target)).exists():
            raise BuildError(f"{stage.name}: COPY {copy.text}: stage {other} made none")

    def _copy_from_context(self, stage: Stage, source: PurePosixPath, target: Path) -> None:
        files = [each for each in context_files(self.checkout) if each.is_relative_to(source)]
        if not files:
            raise BuildError(f"{stage.name}: COPY {source}: not in the context of the build")
        for file in files:
            name = PurePosixPath(source.name) if file == source else file.relative_to(source)
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.checkout / file, target / name)


def _machine() -> dict[str, str]:
    """This machine's variables, as pip may need them, and a Python outside of any environment.

    Nothing is compiled: that takes half a minute and changes nothing that a test looks at.
    """
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    python = Path(sys.base_prefix, "bin")
    return kept | {"PATH": f"{python}:/usr/local/bin:/usr/bin:/bin", "PIP_NO_COMPILE": "1"}
