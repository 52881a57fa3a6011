"""The command `dit-serve drain`. Heavy imports happen inside."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cluster.draining import Patience
from cluster.errors import ConfigError, DitServeError
from deployments.terminal import faults_told

EXAMPLES = """
dit-serve drain --deadline-s 840

kubectl exec POD -- dit-serve drain

dit-serve drain --address 10.0.0.5:6379 --node-id NODE
"""


def drain(
    deadline_s: Annotated[
        float, typer.Option(min=1, help="Seconds until it gives up; the longest job should fit.")
    ] = 3600.0,
    replace_s: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds, of half the deadline at most, in which replicas go on taking work while "
            "others are started elsewhere. Then they only finish what they run.",
        ),
    ] = 300.0,
    address: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of Ray's head. RAY_ADDRESS, or the Ray that runs here."),
    ] = None,
    node_id: Annotated[
        str | None, typer.Option(help="The node, as `ray list nodes` shows it. This machine's.")
    ] = None,
) -> None:
    """Empties a node before it is stopped, as a pod's preStop hook; run it on that node.

    Serve starts the node's replicas elsewhere, and the old ones finish the job that they run. It
    waits for that, and says what still runs. Exit code 0: nothing any more. 1: something does,
    after the deadline, or Ray's head is away. There is no way back: the node takes nothing new, and
    its Ray ends itself once it is empty. On the head node, which cannot be moved, it does nothing.
    """
    from deployments.drain import drain as drained
    from deployments.drain import find_node

    with faults_told():
        node = find_node(address, node_id)
        if node.is_head:
            _tell("This is the head node: what runs on it cannot be moved. Nothing is done.")
            return
        _tell(f"Draining node {node.node_id} of {node.address}, for {deadline_s:g} s at most")
        try:
            left = drained(node, Patience(deadline_s, replace_s), _tell)
        except ConfigError:
            raise
        except DitServeError as error:
            print(error, file=sys.stderr, flush=True)
            raise typer.Exit(1) from error
    if left:
        print(
            f"Not drained after {deadline_s:g} s: {', '.join(left)} still on this node; the jobs "
            "that it stops with are begun again elsewhere",
            file=sys.stderr,
            flush=True,
        )
        raise typer.Exit(1)
    _tell("Drained: nothing runs on this node any more")


def _tell(line: str) -> None:
    """At once: whoever reads it looks on while it waits."""
    print(line, flush=True)
