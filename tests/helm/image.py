"""What the project's Dockerfile says of its image, as far as a pod's volumes depend on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Image:
    """The working directory, the variables and the user of the last stage."""

    workdir: str
    variables: dict[str, str]
    user: str


@cache
def image() -> Image:
    stage = re.split(r"^FROM ", Path("Dockerfile").read_text(), flags=re.MULTILINE)[-1]
    lines = stage.replace("\\\n", " ").splitlines()
    words = [
        (line.split()[0], line.split(maxsplit=1)[1]) for line in lines if len(line.split()) > 1
    ]
    variables = " ".join(rest for word, rest in words if word == "ENV")
    return Image(
        workdir=[rest for word, rest in words if word == "WORKDIR"][-1],
        variables=dict(re.findall(r"(\w+)=(\S+)", variables)),
        user=[rest for word, rest in words if word == "USER"][-1],
    )
