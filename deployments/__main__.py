"""`python -m deployments` is the command `dit-serve`."""

from deployments.cli import app

app(prog_name="dit-serve")
