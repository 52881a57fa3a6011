"""Reads a Dockerfile: its stages and their instructions, without heredocs and parser directives."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Instruction:
    """`RUN --mount=type=cache echo x` is ("RUN", ("mount=type=cache",), "echo x")."""

    keyword: str
    flags: tuple[str, ...]
    text: str

    def words(self) -> list[str]:
        """The arguments: of the exec form (a JSON list), or as a shell would split them."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)

    def flag(self, name: str) -> str | None:
        values = [flag.partition("=")[2] for flag in self.flags if flag.startswith(f"{name}=")]
        return values[-1] if values else None


@dataclass(frozen=True)
class Stage:
    """`FROM base AS name`, and what follows it."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def all(self, keyword: str) -> list[Instruction]:
        return [each for each in self.instructions if each.keyword == keyword]

    def last(self, keyword: str) -> Instruction:
        return self.all(keyword)[-1]

    def variables(self) -> dict[str, str]:
        """What ENV sets, with references as they are written."""
        pairs = [word.partition("=") for env in self.all("ENV") for word in env.words()]
        return {name: value for name, _, value in pairs}

    def labels(self) -> dict[str, str]:
        pairs = [word.partition("=") for label in self.all("LABEL") for word in label.words()]
        return {name: value for name, _, value in pairs}


def stages(text: str) -> dict[str, Stage]:
    """The stages by their names, in the file's order."""
    found: dict[str, tuple[str, list[Instruction]]] = {}
    for instruction in _instructions(text):
        if instruction.keyword == "FROM":
            base, _, name = instruction.words()
            instructions: list[Instruction] = []
            found[name] = (base, instructions)
        else:
            instructions.append(instruction)
    return {name: Stage(name, base, tuple(rest)) for name, (base, rest) in found.items()}


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            keyword, _, rest = line.strip().partition(" ")
            flags = re.match(r"(?:--\S+\s+)*", rest)
            assert flags is not None
            yield Instruction(
                keyword,
                tuple(flag.removeprefix("--") for flag in flags[0].split()),
                rest[flags.end() :],
            )
