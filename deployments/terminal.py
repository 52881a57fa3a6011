"""What the commands share: where they print, the config file that they take, how they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.errors import DitServeError

out = Console()

ConfigFile = Annotated[Path, typer.Argument(help="A Serve config file, such as configs/demo.yaml.")]


@contextmanager
def faults_told() -> Iterator[None]:
    """A wrong config or request ends the command with its message and exit code 2."""
    try:
        yield
    except DitServeError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
