"""Prints what pyproject.toml asks for at run time, with the extras named as arguments.

The image installs these before it gets the source, so that a change of the source leaves the
layer of the packages, which is most of the image, as it is. Standard library only.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def runtime_requirements(pyproject: str, extras: list[str]) -> list[str]:
    """The requirements of a project and of some of its extras.

    Raises:
        SystemExit: there is no such extra.
    """
    project = tomllib.loads(pyproject)["project"]
    optional = project["optional-dependencies"]
    if unknown := [extra for extra in extras if extra not in optional]:
        raise SystemExit(f"pyproject.toml: no extra {unknown[0]}; there are {', '.join(optional)}")
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


if __name__ == "__main__":
    print("\n".join(runtime_requirements(Path("pyproject.toml").read_text(), sys.argv[1:])))
